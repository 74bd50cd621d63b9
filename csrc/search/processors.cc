#include "search/processors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/kernels.h"
#include "search/sampling.h"

namespace fastseq {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

void forbid(RowScores& scores, const std::vector<int32_t>& tokens) {
  for (const int32_t token : tokens) scores.set(token, kImpossible);
}

/// No end token before there are min_length tokens, or min_new_tokens generated ones.
class MinLengthProcessor final : public Processor {
 public:
  explicit MinLengthProcessor(const SearchOptions& options) : options_(options) {}
  bool active(const RowContext& row) const override {
    return row.length < options_.min_length || row.length - row.prompt_length < options_.min_new_tokens;
  }
  void apply(RowScores& scores, const RowContext&) const override { forbid(scores, options_.eos_ids); }

 private:
  const SearchOptions& options_;
};

class ForcedBosProcessor final : public Processor {
 public:
  explicit ForcedBosProcessor(int32_t token) : token_(token) {}
  bool active(const RowContext& row) const override { return row.length == 1; }
  void apply(RowScores& scores, const RowContext&) const override {
    const RowScores::Entry only{token_, 0.0F};
    scores.keep_only({&only, 1});
  }

 private:
  int32_t token_;
};

class ForcedEosProcessor final : public Processor {
 public:
  explicit ForcedEosProcessor(const std::vector<int32_t>& tokens) {
    for (const int32_t token : tokens) only_.push_back({token, 0.0F});
  }
  bool active(const RowContext& row) const override { return row.length == row.max_length - 1; }
  void apply(RowScores& scores, const RowContext&) const override { scores.keep_only(only_); }

 private:
  std::vector<RowScores::Entry> only_;
};

class InvalidValuesProcessor final : public Processor {
 public:
  bool active(const RowContext&) const override { return true; }
  void apply(RowScores& scores, const RowContext&) const override {
    constexpr float kLargest = std::numeric_limits<float>::max();
    for (float& score : scores.dense()) {
      score = std::isnan(score) ? 0.0F : std::clamp(score, -kLargest, kLargest);
    }
  }
};

class NormalizationProcessor final : public Processor {
 public:
  bool active(const RowContext&) const override { return true; }
  void apply(RowScores& scores, const RowContext&) const override {
    const std::span<float> row = scores.dense();
    if (*std::max_element(row.begin(), row.end()) == kImpossible) return;
    kernels().log_softmax(row.data(), 1, scores.vocab_size(), row.data());
  }
};

/// Raises the end token's score by |score| * (factor ** steps - 1) from a length on.
class ExponentialDecayProcessor final : public Processor {
 public:
  explicit ExponentialDecayProcessor(const SearchOptions& options)
      : eos_ids_(options.eos_ids), decay_(*options.processors.exponential_decay) {}
  bool active(const RowContext& row) const override { return steps(row) > 0; }
  void apply(RowScores& scores, const RowContext& row) const override {
    const auto raise = static_cast<float>(std::pow(decay_.factor, static_cast<double>(steps(row))) - 1.0);
    for (const int32_t eos : eos_ids_) {
      const float score = scores.get(eos);
      if (std::isfinite(score)) scores.set(eos, score + std::fabs(score) * raise);
    }
  }

 private:
  int64_t steps(const RowContext& row) const { return row.length - row.prompt_length - decay_.start; }

  const std::vector<int32_t>& eos_ids_;
  const ExponentialDecay decay_;
};

class SuppressProcessor final : public Processor {
 public:
  explicit SuppressProcessor(const std::vector<int32_t>& tokens) : tokens_(tokens) {}
  bool active(const RowContext&) const override { return true; }
  void apply(RowScores& scores, const RowContext&) const override { forbid(scores, tokens_); }

 private:
  const std::vector<int32_t>& tokens_;
};

class BeginSuppressProcessor final : public Processor {
 public:
  explicit BeginSuppressProcessor(const ProcessorOptions& options) : options_(options) {}
  bool active(const RowContext& row) const override {
    // A forced first token is not what the list is about: the one after it is.
    const bool after_bos = row.prompt_length == 1 && options_.forced_bos_token_id.has_value();
    return row.length == row.prompt_length + (after_bos ? 1 : 0);
  }
  void apply(RowScores& scores, const RowContext&) const override { forbid(scores, options_.begin_suppress_tokens); }

 private:
  const ProcessorOptions& options_;
};

/// Bad words are sequences with a bias of minus infinity; the end token alone is not forbidden.
std::vector<SequenceBias> bad_word_biases(const SearchOptions& options) {
  std::vector<SequenceBias> biases;
  for (const std::vector<int32_t>& tokens : options.processors.bad_words_ids) {
    if (tokens.size() > 1 || !options.is_eos(tokens[0])) biases.push_back({tokens, kImpossible});
  }
  return biases;
}

}  // namespace

ProcessorList make_processors(const SearchOptions& options) {
  const ProcessorOptions& wanted = options.processors;
  ProcessorList list;
  const auto append = [&](std::unique_ptr<const Processor> processor) {
    if (processor != nullptr) list.push_back(std::move(processor));
  };
  append(make_sequence_bias(wanted.sequence_bias));
  append(make_encoder_repetition(options));
  append(make_repetition(wanted));
  append(make_no_repeat_ngram(wanted));
  append(make_encoder_no_repeat_ngram(options));
  append(make_sequence_bias(bad_word_biases(options)));
  const bool delayed = options.min_length > 1 || options.min_new_tokens > 0;
  if (delayed && !options.eos_ids.empty()) append(std::make_unique<MinLengthProcessor>(options));
  append(make_allowed_tokens(options));
  if (wanted.forced_bos_token_id) append(std::make_unique<ForcedBosProcessor>(*wanted.forced_bos_token_id));
  if (!wanted.forced_eos_token_id.empty()) append(std::make_unique<ForcedEosProcessor>(wanted.forced_eos_token_id));
  if (wanted.remove_invalid_values) append(std::make_unique<InvalidValuesProcessor>());
  if (wanted.exponential_decay) append(std::make_unique<ExponentialDecayProcessor>(options));
  if (!wanted.suppress_tokens.empty()) append(std::make_unique<SuppressProcessor>(wanted.suppress_tokens));
  if (!wanted.begin_suppress_tokens.empty()) append(std::make_unique<BeginSuppressProcessor>(wanted));
  append(make_custom(options));
  // Beams need something to go on with beside end tokens.
  append(make_warper(options.sampling, options.num_beams > 1 ? 1 + static_cast<int64_t>(options.eos_ids.size()) : 1));
  if (wanted.renormalize_logits) append(std::make_unique<NormalizationProcessor>());
  return list;
}

}  // namespace fastseq
