// What a search gives back beside tokens and scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/buffer.h"
#include "search/hypotheses.h"
#include "search/trace.h"

namespace fastseq {

/// What is wanted; nothing costs anything otherwise.
struct OutputOptions {
  bool token_log_probs = false;
  bool attention = false;
  bool logits = false;
  int64_t top_logits = 0;  // so many of each step

  bool any() const { return token_log_probs || attention || logits || top_logits > 0; }
};

/// Of one hypothesis with T tokens, its end token included; what was not wanted is empty.
struct HypothesisOutputs {
  std::vector<float> token_log_probs;  // (T)
  std::vector<float> attention;        // (T, S): weights on the source
  std::vector<float> logits;           // (T, V), before any processor
  std::vector<float> top_logits;       // (T, k), largest first
  std::vector<int64_t> top_tokens;     // (T, k)
};

struct Answer {
  Hypothesis hypothesis;
  HypothesisOutputs outputs;
};

/// Keeps what is wanted of each step, for all rows, until the hypotheses are known.
class StepOutputs {
 public:
  /// Throws std::invalid_argument for a negative number of top logits.
  explicit StepOutputs(const OutputOptions& options);

  const OutputOptions& options() const { return options_; }

  /// logits (rows, vocab_size); attention, read only if wanted: the weights of each row end to end, sizes (rows).
  void add(const float* logits, int64_t rows, int64_t vocab_size, const float* attention,
           std::span<const int64_t> sizes);
  HypothesisOutputs gather(const SearchTrace& trace, const Hypothesis& hypothesis) const;
  std::vector<std::vector<Answer>> answers(std::vector<std::vector<Hypothesis>> results,
                                           const SearchTrace* trace) const;

 private:
  struct Step {
    std::vector<float> logits, attention, top_logits;
    std::vector<int64_t> top_tokens, attention_begin;
  };

  OutputOptions options_;
  int64_t vocab_size_ = 0, top_ = 0;  // top_: at most vocab_size_
  std::vector<Step> steps_;
};

}  // namespace fastseq
