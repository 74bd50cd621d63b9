// Search: turns the logits of successive steps into hypotheses. It sees logits only, never the model.
//
//   auto search = make_search(batch_size, options);
//   while (!search->done()) {
//     logits = step(search->ids(), search->parents());   // one row a live beam
//     search->advance(logits, rows, vocab_size);
//   }
//   search->result();
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

 protected:
  Search(int64_t batch_size, const SearchOptions& options);

  /// Consumes `selection_`: calls begin_rows, then add_row for each row that goes on and finish for each
  /// sentence that ends.
  virtual void extend() = 0;
  /// How many continuations of a row may be needed, not counting those with an end token.
  virtual int64_t continuations() const = 0;
  /// (rows): what to add to the log-probabilities of each row, or null.
  virtual const float* running_scores() const { return nullptr; }

  void begin_rows();
  void add_row(int32_t id, int64_t parent, int64_t sentence);
  void finish(int64_t sentence, std::vector<Hypothesis> hypotheses);

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
};

/// GreedySearch for one beam, BeamSearch for more.
std::unique_ptr<Search> make_search(int64_t batch_size, const SearchOptions& options);

}  // namespace fastseq
