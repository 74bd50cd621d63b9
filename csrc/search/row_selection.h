// The best continuations of each row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fastseq {

/// One continuation of one row.
struct Candidate {
  float score;  // log-softmax of the row at `token`, plus what was to be added
  int64_t row;
  int64_t token;
};

/// The `width` best tokens of every row, best first; equal scores: lower token first.
class RowSelection {
 public:
  /// Reads `logits` (rows, vocab_size); `add` (rows) or null. Throws std::invalid_argument naming the
  /// sentence (`sentences`, (rows)) whose row has a NaN, +inf or nothing finite.
  void select(const float* logits, int64_t vocab_size, int64_t width, const float* add,
              std::span<const int64_t> sentences);

  int64_t width() const { return width_; }
  Candidate at(int64_t row, int64_t rank) const {
    const auto index = static_cast<std::size_t>(row * width_ + rank);
    return {scores_[index], row, tokens_[index]};
  }

 private:
  int64_t width_ = 0;
  std::vector<float> scores_;    // (rows, width)
  std::vector<int64_t> tokens_;  // (rows, width)
};

}  // namespace fastseq
