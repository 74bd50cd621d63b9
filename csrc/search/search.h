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

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

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
  /// Throws std::invalid_argument, and leaves the search as it was, if the shape does not fit or a row has a
  /// NaN, +inf or nothing finite.
  void advance(const float* logits, int64_t rows, int64_t vocab_size);

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
  Search(int64_t batch_size, const SearchOptions& options);

  /// Consumes `selection_`: calls begin_rows, then add_row for each row that goes on and finish for each
  /// sentence that ends.
  virtual void extend() = 0;
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

  int64_t previous_rows() const { return static_cast<int64_t>(previous_sentences_.size()); }
  int64_t previous_sentence(int64_t row) const { return previous_sentences_[static_cast<std::size_t>(row)]; }

  const SearchOptions options_;
  RowSelection selection_;
  int64_t length_ = 1;  // tokens of every live row, with the start token; extend() sees the new length

 private:
  int64_t vocab_size_ = 0;  // of the first step; 0 before it
  std::vector<int32_t> ids_;
  std::vector<int64_t> parents_;
  std::vector<int64_t> sentences_;
  std::vector<int64_t> previous_sentences_;
  std::vector<std::vector<Hypothesis>> results_;
  std::unique_ptr<SearchTrace> trace_;

  void trace_step();
};

/// GreedySearch for one beam, BeamSearch for more.
std::unique_ptr<Search> make_search(int64_t batch_size, const SearchOptions& options);

}  // namespace fastseq
