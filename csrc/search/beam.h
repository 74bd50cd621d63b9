// Beam search, hypothesis for hypothesis that of Hugging Face's `_beam_search` (transformers 5,
// generation/utils.py); and, by options, the rules of CTranslate2 and Marian.
//
// There every sentence starts with num_beams equal beams, all but one at -1e9; here it starts with one, and
// continuations of probability zero are never taken. Both give the same hypotheses whenever the vocabulary
// has num_beams tokens of non-zero probability; with fewer, Hugging Face fills up with duplicates scored
// about -1e9, and this search returns fewer hypotheses.
//
// The beams of a sentence form groups that search on their own: usually one; num_beam_groups in diverse beam
// search (Vijayakumar et al., 2018), where a token loses diversity_penalty for each beam of an earlier group that
// has chosen it in the same step; or one for each alternative, which starts with the best token, the second
// best, ... after the prefix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/search.h"

namespace fastseq {

class BeamSearch final : public Search {
 public:
  BeamSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals = {});

 private:
  /// Some beams of one sentence and what they have ended.
  struct Group {
    explicit Group(int64_t size) : pool(size) {}

    HypothesisPool pool;
    int64_t ended = 0;        // also those that the pool did not keep
    bool best_ended = false;  // whether the best candidate of a step has ended
    bool done = false;
  };

  void extend() override;
  void append_tokens(int64_t row, std::vector<int32_t>& tokens) const override;
  int64_t continuations() const override;
  const float* running_scores() const override { return scores_.data(); }
  float row_sum(int64_t row) const override { return scores_[static_cast<std::size_t>(row)]; }

  /// One step of one sentence, whose rows are [begin, end).
  void extend_sentence(int64_t begin, int64_t end);
  /// One step of one of its groups, with rows [begin, end).
  void extend_group(int64_t index, int64_t begin, int64_t end);
  /// The candidates of a group's rows, best first; equal scores: lower beam, lower token.
  void rank_candidates(int64_t index, int64_t begin, int64_t end);
  /// So many candidates as Hugging Face draws, by their scores with Gumbel noise, which is drawing without
  /// replacement from the softmax of the scores (Kool et al., 2019).
  void draw_candidates(int64_t begin, int64_t end);
  void end_candidate(Group& group, const Candidate& candidate, float divisor);
  void end_rows(Group& group, int64_t begin, int64_t end);
  /// One row of the next step: `candidate` goes on.
  void continue_row(const Candidate& candidate, int64_t sentence, int64_t index);
  /// CTranslate2's rule for the first step after a prefix: end tokens are no candidates unless they are the best.
  bool only_best_may_end(int64_t sentence) const;
  /// Whether no running beam can or may improve on what has finished.
  bool is_complete(int64_t sentence, const Group& group) const;
  /// What the groups of a sentence have found.
  std::vector<Hypothesis> collect(int64_t sentence) const;
  Group& group(int64_t sentence, int64_t index) {
    return groups_[static_cast<std::size_t>(sentence * num_groups_ + index)];
  }

  const int64_t num_groups_;
  const int64_t group_size_;   // beams of each
  std::vector<Group> groups_;  // (batch_size, num_groups)
  TokenTree tree_;
  std::vector<float> scores_;     // (rows): sum of log-probabilities
  std::vector<int64_t> nodes_;    // (rows): last token in the tree
  std::vector<int64_t> indices_;  // (rows): group; 0 while all groups share the row
  std::vector<float> previous_scores_;
  std::vector<int64_t> previous_nodes_;
  std::vector<int64_t> previous_indices_;
  std::vector<Candidate> candidates_;  // scratch: of one group
  std::vector<Candidate> running_;     // scratch: those that go on
  std::vector<int64_t> chosen_;        // scratch: tokens that earlier groups of the sentence have chosen
};

}  // namespace fastseq
