// Logits processors: what changes the scores of the next token before the search chooses, each as the class of the
// same name in Hugging Face's generation/logits_process.py does it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "search/options.h"
#include "search/row_scores.h"

namespace fastseq {

/// What a processor may know of the row whose next token is chosen.
struct RowContext {
  int64_t sentence = 0;          // of the caller's batch
  int64_t length = 0;            // tokens so far, the start token or the prompt counted
  int64_t prompt_length = 1;     // how many of them were given: the start token or the prompt, and the prefix
  int64_t max_length = 0;        // of this sentence
  bool is_forced = false;        // the prefix says the next token: nothing is chosen
  std::span<const int32_t> ids;  // (length), if a processor wants them
};

/// One row whose next token is chosen.
struct ScoredRow {
  RowScores* scores;
  const RowContext* context;
};

class Processor {
 public:
  virtual ~Processor() = default;
  /// Whether apply() might change this row.
  virtual bool active(const RowContext& row) const = 0;
  virtual void apply(RowScores& scores, const RowContext& row) const = 0;
  virtual bool needs_ids() const { return false; }
  /// Whether it has to see all rows of a step together, in apply_step(), the rows of a sentence next to each other.
  virtual bool whole_step() const { return false; }
  virtual void apply_step(std::span<const ScoredRow>) const {}
};

using ProcessorList = std::vector<std::unique_ptr<const Processor>>;

/// Those that `options` ask for, in Hugging Face's order. They refer to `options`.
ProcessorList make_processors(const SearchOptions& options);

// The parts of the list, each empty where its options ask for nothing.
std::unique_ptr<const Processor> make_sequence_bias(std::vector<SequenceBias> biases);
std::unique_ptr<const Processor> make_encoder_repetition(const SearchOptions& options);
std::unique_ptr<const Processor> make_repetition(const ProcessorOptions& options);
std::unique_ptr<const Processor> make_no_repeat_ngram(const ProcessorOptions& options);
std::unique_ptr<const Processor> make_encoder_no_repeat_ngram(const SearchOptions& options);
std::unique_ptr<const Processor> make_allowed_tokens(const SearchOptions& options);
std::unique_ptr<const Processor> make_custom(const SearchOptions& options);

}  // namespace fastseq
