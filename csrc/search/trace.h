// What a search did, step by step: kept only when it is asked for.
#pragma once

#include <cstdint>
#include <vector>

#include "search/hypotheses.h"

namespace fastseq {

class SearchTrace {
 public:
  /// The rows of one step, as the search asked for them.
  struct Step {
    std::vector<int32_t> ids;        // (rows): the token that each row reads
    std::vector<int64_t> parents;    // (rows): the row of the step before
    std::vector<int64_t> sentences;  // (rows)
    std::vector<float> sums;         // (rows): of the log-probabilities of what each row has read
  };
  /// A hypothesis that ended, whether or not better ones came later.
  struct Ending {
    int64_t sentence;
    LastRow last;
    float score;
    bool finished;
    int64_t token;  // that it wrote last, -1 for none
  };

  void add_step(Step step) { steps_.push_back(std::move(step)); }
  void add_ending(const Ending& ending) { endings_.push_back(ending); }

  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Ending>& endings() const { return endings_; }

  /// What `last` had read, without the start token.
  std::vector<int32_t> read_tokens(const LastRow& last) const;
  /// All hypotheses of a sentence that have ended, in the order in which they did.
  std::vector<Hypothesis> ended(int64_t sentence) const;
  /// (T): the row of each step that wrote a token of the hypothesis, its end token included.
  std::vector<int64_t> rows(const Hypothesis& hypothesis) const;
  /// (T): log-probability of each of these tokens; their sum is what the score divides.
  std::vector<float> token_log_probs(const Hypothesis& hypothesis) const;

 private:
  /// (last.step + 1): the row of each step up to `last`.
  std::vector<int64_t> path(const LastRow& last) const;

  std::vector<Step> steps_;
  std::vector<Ending> endings_;
};

}  // namespace fastseq
