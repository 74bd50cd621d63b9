// How much of its source each row has attended to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fastseq {

/// The coverage penalty of Wu et al. (2016): beta * sum_s log(min(1, sum_t a_ts)), with the weights a_ts on source
/// position s when token t was written. As in CTranslate2 it is added after the division by the length, the tokens of
/// a prefix and the end token count, and positions with no weight at all (padding) are passed over.
class Coverage {
 public:
  explicit Coverage(double beta) : beta_(static_cast<float>(beta)) {}

  bool wanted() const { return beta_ != 0.0F; }
  /// Reads a step: attention, the weights of each row end to end, sizes (rows), and the row of the step before that
  /// each continues. Throws std::invalid_argument, and changes nothing, if a weight is not a finite number of at least
  /// 0, or a row has another number of them than before; `sentences` (rows) is for the message.
  void add(const float* attention, std::span<const int64_t> sizes, std::span<const int64_t> parents,
           std::span<const int64_t> sentences);
  /// Of a row of the last step that was read, including what it attended to in it; 0 if nothing is wanted or read.
  float penalty(int64_t row) const;

 private:
  const float beta_;
  std::vector<float> sums_;     // of the rows of the last step, end to end
  std::vector<int64_t> begin_;  // (rows + 1); empty before the first step
};

}  // namespace fastseq
