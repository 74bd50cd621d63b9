// Sampling: at every step a token drawn at random, num_return_sequences times for each sentence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/search.h"

namespace fastseq {

class SampleSearch final : public Search {
 public:
  /// Throws std::invalid_argument unless num_beams is 1.
  SampleSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals = {});

 private:
  /// One sample of a sentence; until the first draw a sentence has one row for all its samples.
  struct Sample {
    int64_t index = 0;
    std::vector<int32_t> tokens;
    float sum = 0.0F;  // log-probability of the model itself
  };

  void extend() override;
  void append_tokens(int64_t row, std::vector<int32_t>& tokens) const override;
  int64_t continuations() const override { return 1; }
  float row_sum(int64_t row) const override { return samples_[static_cast<std::size_t>(row)].sum; }
  void extend_sample(Sample sample, int64_t row, std::span<const RowScores::Entry> possible);
  /// `token`: what the sample wrote in this step, or kNoToken.
  void end_sample(const Sample& sample, int64_t row, int64_t token);

  std::vector<Sample> samples_;  // (rows)
  std::vector<Sample> previous_samples_;
  std::vector<std::vector<Hypothesis>> ended_;  // of each sentence
};

}  // namespace fastseq
