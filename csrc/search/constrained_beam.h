// Lexically constrained beam search: every hypothesis contains the phrases of force_words_ids.
//
// Dynamic beam allocation (Post and Vilar, 2018): the candidates of a step are the best continuations of every beam
// and all that bring a phrase nearer; they are sorted into banks by how many tokens their phrases still need, and
// the beams are filled from the banks in turn, the nearest first. So some beam always makes progress, whatever it
// costs, and a hypothesis ends only where nothing is missing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/constraints.h"
#include "search/search.h"

namespace fastseq {

class ConstrainedBeamSearch final : public Search {
 public:
  ConstrainedBeamSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals = {});

 private:
  struct Progress {
    Candidate candidate;
    Constraints::State state;
    int64_t missing = 0;  // tokens that its phrases still need
  };

  void extend() override;
  void append_tokens(int64_t row, std::vector<int32_t>& tokens) const override;
  int64_t continuations() const override { return options_.num_beams; }
  const float* running_scores() const override { return scores_.data(); }
  float row_sum(int64_t row) const override { return scores_[static_cast<std::size_t>(row)]; }

  /// One step of one sentence, whose rows are [begin, end).
  void extend_sentence(int64_t begin, int64_t end);
  /// The candidates of these rows, best first.
  void list_candidates(int64_t begin, int64_t end);
  void end_candidate(int64_t sentence, const Candidate& candidate);
  /// Chooses the beams that go on into `running_`, best first.
  void fill_beams();
  bool is_complete(int64_t sentence) const;
  void continue_row(const Progress& progress, int64_t sentence);

  const Constraints constraints_;
  std::vector<HypothesisPool> pools_;  // of each sentence
  std::vector<int64_t> ended_;         // of each sentence: hypotheses, also those that the pool did not keep
  TokenTree tree_;
  std::vector<float> scores_;               // (rows): sum of log-probabilities
  std::vector<int64_t> nodes_;              // (rows): last token in the tree
  std::vector<Constraints::State> states_;  // (rows)
  std::vector<float> previous_scores_;
  std::vector<int64_t> previous_nodes_;
  std::vector<Constraints::State> previous_states_;
  std::vector<Progress> candidates_;  // scratch: of one sentence
  std::vector<Progress> running_;     // scratch: those that go on
};

}  // namespace fastseq
