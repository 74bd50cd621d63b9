// Beam search, hypothesis for hypothesis that of Hugging Face's `_beam_search` (transformers 5,
// generation/utils.py).
//
// There every sentence starts with num_beams equal beams, all but one at -1e9; here it starts with one, and
// continuations of probability zero are never taken. Both give the same hypotheses whenever the vocabulary
// has num_beams tokens of non-zero probability; with fewer, Hugging Face fills up with duplicates scored
// about -1e9, and this search returns fewer hypotheses.
#pragma once

#include <cstdint>
#include <vector>

#include "search/search.h"

namespace fastseq {

class BeamSearch final : public Search {
 public:
  BeamSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals = {});

 private:
  void extend() override;
  void append_tokens(int64_t row, std::vector<int32_t>& tokens) const override;
  int64_t continuations() const override { return options_.num_beams; }
  const float* running_scores() const override { return scores_.data(); }
  float row_sum(int64_t row) const override { return scores_[static_cast<std::size_t>(row)]; }

  /// The candidates of one sentence's rows [begin, end), best first; equal scores: lower beam, lower token.
  void rank_candidates(int64_t begin, int64_t end);
  /// One row of the next step: `candidate` goes on.
  void continue_row(const Candidate& candidate, int64_t sentence);
  /// One step of one sentence.
  void extend_sentence(int64_t begin, int64_t end);
  /// Whether no running beam can or may improve on what has finished.
  bool is_complete(int64_t sentence, const HypothesisPool& pool) const;

  TokenTree tree_;
  std::vector<HypothesisPool> pools_;  // of each sentence
  std::vector<float> scores_;          // (rows): sum of log-probabilities
  std::vector<int64_t> nodes_;         // (rows): last token in the tree
  std::vector<float> previous_scores_;
  std::vector<int64_t> previous_nodes_;
  std::vector<Candidate> candidates_;  // scratch: of one sentence
  std::vector<Candidate> running_;     // scratch: those that go on
};

}  // namespace fastseq
