// Greedy search: the most probable token at every step.
#pragma once

#include <cstdint>
#include <vector>

#include "search/search.h"

namespace fastseq {

class GreedySearch final : public Search {
 public:
  /// Throws std::invalid_argument unless num_beams is 1.
  GreedySearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals = {});

 private:
  void extend() override;
  void append_tokens(int64_t row, std::vector<int32_t>& tokens) const override;
  int64_t continuations() const override { return 1; }
  float row_sum(int64_t row) const override {
    return sums_[static_cast<std::size_t>(sentences()[static_cast<std::size_t>(row)])];
  }

  std::vector<std::vector<int32_t>> tokens_;  // of each sentence
  std::vector<float> sums_;                   // of each sentence: its log-probability so far
};

}  // namespace fastseq
