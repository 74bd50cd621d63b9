// Search: turns the logits of successive steps into hypotheses. It sees logits only, never the model.
//
//   auto search = make_search(batch_size, options);
//   while (!search->done()) {
//     logits = step(search->ids(), search->parents());   // one row a live beam
//     search->advance(logits, rows, vocab_size);
//   }
//   search->result();
//
// A search that keeps a trace also tells how it came to its hypotheses, which tokens are certain while it runs
// (stream.h), and can be stopped.
//
// The first step has one row a sentence; beams appear as they differ, and the rows of a sentence leave the
// batch when its search ends.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "search/coverage.h"
#include "search/hypotheses.h"
#include "search/options.h"
#include "search/row_selection.h"
#include "search/trace.h"

namespace fastseq {

class Search {
 public:
  virtual ~Search() = default;
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  /// (rows): the token each row feeds to the next step.
  std::span<const int32_t> ids() const { return ids_; }
  /// (rows): the row of the previous step's batch that each row continues; at first, its own index.
  std::span<const int64_t> parents() const { return parents_; }
  /// (rows): the sentence of each row, ascending.
  std::span<const int64_t> sentences() const { return sentences_; }
  bool done() const { return ids_.empty(); }

  /// Reads `logits` (rows, vocab_size), row-major, of the rows above and chooses the rows of the next step.
  /// `attention`, read only if a coverage penalty is wanted: the weights of each row on its source, end to end, sizes
  /// (rows). Throws std::invalid_argument, and leaves the search as it was, if a shape does not fit, a row has a NaN,
  /// +inf or nothing finite, or a weight is none.
  void advance(const float* logits, int64_t rows, int64_t vocab_size, const float* attention = nullptr,
               std::span<const int64_t> sizes = {});
  /// Whether advance() needs the attention.
  bool needs_attention() const { return coverage_.wanted(); }

  /// For each sentence its hypotheses, best first, at most num_return_sequences. Throws unless done.
  std::vector<std::vector<Hypothesis>> result() const;
  /// Those of one sentence; none while it runs.
  const std::vector<Hypothesis>& hypotheses(int64_t sentence) const {
    return results_[static_cast<std::size_t>(sentence)];
  }
  int64_t batch_size() const { return static_cast<int64_t>(results_.size()); }

  /// Keeps every step from now on; to be called before the first one.
  void keep_trace();
  /// What has been kept, or null.
  const SearchTrace* trace() const { return trace_.get(); }
  /// Ends the search where it is: of each running sentence the best of its ended and its running hypotheses become
  /// the result. Throws std::logic_error unless a trace is kept.
  void stop();

 protected:
  /// `originals` (batch_size): what the per-sentence options and messages call the sentences; none: 0, 1, 2, ...
  /// `normalised`: whether processors see log-probabilities or logits.
  Search(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals, bool normalised);

  /// Consumes `selection_`: calls begin_rows, then add_row for each row that goes on and finish for each
  /// sentence that ends.
  virtual void extend() = 0;
  /// Appends the tokens of a row, without the start token.
  virtual void append_tokens(int64_t row, std::vector<int32_t>& tokens) const = 0;
  /// How many continuations of a row may be needed, not counting those with an end token.
  virtual int64_t continuations() const = 0;
  /// (rows): what to add to the log-probabilities of each row, or null.
  virtual const float* running_scores() const { return nullptr; }
  /// Sum of the log-probabilities of what a row of the next step has read.
  virtual float row_sum(int64_t row) const = 0;

  void begin_rows();
  void add_row(int32_t id, int64_t parent, int64_t sentence);
  void finish(int64_t sentence, std::vector<Hypothesis> hypotheses);
  static constexpr int64_t kNoToken = -1;
  /// Notes that a hypothesis ended in `row` of this step by writing `token` (kNoToken: without writing one).
  LastRow ended(int64_t row, float sum, float score, bool finished, int64_t token);

  /// What the caller calls a sentence.
  int64_t original(int64_t sentence) const {
    return originals_.empty() ? sentence : originals_[static_cast<std::size_t>(sentence)];
  }
  /// Tokens that the next step must have, the start token and the prefix, and may have.
  int64_t prompt_length(int64_t sentence) const { return prompt_lengths_[static_cast<std::size_t>(sentence)]; }
  int64_t max_length(int64_t sentence) const {
    if (options_.max_new_tokens >= 0) return prompt_length(sentence) + options_.max_new_tokens;
    return options_.max_length - tokens_before(sentence);
  }
  /// Tokens of the prompt before the one that the search starts from.
  int64_t tokens_before(int64_t sentence) const {
    return static_cast<int64_t>(options_.given(original(sentence)).size()) - 1;
  }
  /// In extend(): whether the prefix says the token of this step, and which.
  bool is_forced(int64_t sentence) const { return length_ <= prompt_length(sentence); }
  int32_t forced_token(int64_t sentence) const {
    return (*options_.prefix(original(sentence)))[static_cast<std::size_t>(length_ - 2)];
  }
  /// In extend(): what the sum of a sentence's log-probabilities is divided by after this step, or `ago` steps ago.
  float divisor(int64_t sentence, int64_t ago = 0) const {
    return length_divisor(scored_length(sentence, length_ - ago), options_.length_penalty);
  }
  /// In extend(): the score of a sum of log-probabilities that ends in a row of the step that was read.
  float final_score(int64_t row, float sum, float divisor) const { return sum / divisor + coverage_.penalty(row); }
  /// How many of `length` tokens count in the score: not the start token, and the prefix only by CTranslate2's rules.
  int64_t scored_length(int64_t sentence, int64_t length) const {
    const int64_t given = options_.preset == Preset::kCTranslate2 ? 1 : prompt_length(sentence);
    return std::max<int64_t>(0, length - given);
  }

  /// In extend(): a number in (0, 1) that depends on the sentence's seed, the step and the arguments only.
  double random(int64_t sentence, int64_t stream, int64_t number) const;

  int64_t previous_rows() const { return static_cast<int64_t>(previous_sentences_.size()); }
  int64_t previous_sentence(int64_t row) const { return previous_sentences_[static_cast<std::size_t>(row)]; }

  const SearchOptions options_;
  RowSelection selection_;
  Coverage coverage_;
  int64_t length_ = 1;  // tokens of every live row, with the start token; extend() sees the new length

 private:
  /// Fills contexts_ for the live rows.
  void describe_rows();

  const std::vector<int64_t> originals_;
  std::vector<int64_t> prompt_lengths_;        // of each sentence
  std::vector<RowContext> contexts_;           // (rows)
  std::vector<std::vector<int32_t>> row_ids_;  // (rows): start token and tokens, where processors want them
  int64_t vocab_size_ = 0;                     // of the first step; 0 before it
  std::vector<int32_t> ids_;
  std::vector<int64_t> parents_;
  std::vector<int64_t> sentences_;
  std::vector<int64_t> previous_sentences_;
  std::vector<std::vector<Hypothesis>> results_;
  std::unique_ptr<SearchTrace> trace_;

  void trace_step();
};

/// GreedySearch or SampleSearch for one beam, BeamSearch for more and for alternatives, ConstrainedBeamSearch where
/// phrases have to occur.
std::unique_ptr<Search> make_search(int64_t batch_size, const SearchOptions& options,
                                    std::span<const int64_t> originals = {});

}  // namespace fastseq
