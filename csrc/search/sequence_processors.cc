// Processors that look at the tokens of the target or of the source.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "search/processors.h"

namespace fastseq {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

bool ends_with(std::span<const int32_t> ids, std::span<const int32_t> suffix) {
  return ids.size() >= suffix.size() && std::equal(suffix.begin(), suffix.end(), ids.end() - suffix.size());
}

/// Adds the bias of every sequence that the next token would complete to the score of that token.
class SequenceBiasProcessor final : public Processor {
 public:
  explicit SequenceBiasProcessor(std::vector<SequenceBias> biases) : biases_(std::move(biases)) {
    for (const SequenceBias& bias : biases_) {
      if (bias.tokens.size() == 1) {
        singles_.push_back(&bias);
      } else {
        by_previous_[bias.tokens[bias.tokens.size() - 2]].push_back(&bias);
      }
    }
  }
  bool active(const RowContext&) const override { return true; }
  bool needs_ids() const override { return !by_previous_.empty(); }

  void apply(RowScores& scores, const RowContext& row) const override {
    const auto matching = row.ids.empty() ? by_previous_.end() : by_previous_.find(row.ids.back());
    if (matching == by_previous_.end()) {
      for (const SequenceBias* bias : singles_) scores.set(bias->tokens[0], scores.get(bias->tokens[0]) + bias->bias);
      return;
    }
    // Biases of one token are added up first, as in Hugging Face, or the last bit would differ.
    std::vector<RowScores::Entry> sums;
    for (const SequenceBias* bias : singles_) add(sums, *bias);
    for (const SequenceBias* bias : matching->second) {
      if (ends_with(row.ids, std::span(bias->tokens).first(bias->tokens.size() - 1))) add(sums, *bias);
    }
    for (const RowScores::Entry& sum : sums) scores.set(sum.token, scores.get(sum.token) + sum.score);
  }

 private:
  static void add(std::vector<RowScores::Entry>& sums, const SequenceBias& bias) {
    const int32_t token = bias.tokens.back();
    const auto same = [token](const RowScores::Entry& entry) { return entry.token == token; };
    const auto found = std::find_if(sums.begin(), sums.end(), same);
    if (found != sums.end()) {
      found->score += bias.bias;
    } else {
      sums.push_back({token, bias.bias});
    }
  }

  const std::vector<SequenceBias> biases_;
  std::vector<const SequenceBias*> singles_;
  std::unordered_map<int32_t, std::vector<const SequenceBias*>> by_previous_;  // by the last token but one
};

/// Multiplies negative scores by `penalty` and divides the others by it, once for each of the tokens.
void penalise(RowScores& scores, std::span<const int32_t> ids, float penalty) {
  thread_local std::vector<int32_t> unique;
  unique.assign(ids.begin(), ids.end());
  std::sort(unique.begin(), unique.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  for (const int32_t token : unique) {
    if (token >= scores.vocab_size()) continue;  // a source token that the target vocabulary lacks
    const float score = scores.get(token);
    scores.set(token, score < 0.0F ? score * penalty : score / penalty);
  }
}

class RepetitionProcessor final : public Processor {
 public:
  explicit RepetitionProcessor(float penalty) : penalty_(penalty) {}
  bool active(const RowContext&) const override { return true; }
  bool needs_ids() const override { return true; }
  void apply(RowScores& scores, const RowContext& row) const override { penalise(scores, row.ids, penalty_); }

 private:
  float penalty_;
};

class EncoderRepetitionProcessor final : public Processor {
 public:
  explicit EncoderRepetitionProcessor(const SearchOptions& options)
      : sources_(options.sentences->encoder_input_ids),
        penalty_(static_cast<float>(1.0 / options.processors.encoder_repetition_penalty)) {}
  bool active(const RowContext&) const override { return true; }
  void apply(RowScores& scores, const RowContext& row) const override {
    penalise(scores, sources_[static_cast<std::size_t>(row.sentence)], penalty_);
  }

 private:
  const std::vector<std::vector<int32_t>>& sources_;
  float penalty_;
};

/// Forbids every token that, in `text`, follows the last size - 1 tokens of `ids`.
void forbid_followers(RowScores& scores, std::span<const int32_t> ids, std::span<const int32_t> text,
                      std::size_t size) {
  if (ids.size() + 1 < size || text.size() < size) return;
  const std::span<const int32_t> prefix = ids.last(size - 1);
  for (std::size_t begin = 0; begin + size <= text.size(); ++begin) {
    if (!std::equal(prefix.begin(), prefix.end(), text.begin() + begin)) continue;
    const int32_t token = text[begin + size - 1];
    if (token < scores.vocab_size()) scores.set(token, kImpossible);
  }
}

class NoRepeatNgramProcessor final : public Processor {
 public:
  explicit NoRepeatNgramProcessor(int64_t size) : size_(size) {}
  bool active(const RowContext& row) const override { return row.length >= size_; }
  bool needs_ids() const override { return true; }
  void apply(RowScores& scores, const RowContext& row) const override {
    forbid_followers(scores, row.ids, row.ids, static_cast<std::size_t>(size_));
  }

 private:
  int64_t size_;
};

class EncoderNoRepeatNgramProcessor final : public Processor {
 public:
  explicit EncoderNoRepeatNgramProcessor(const SearchOptions& options)
      : sources_(options.sentences->encoder_input_ids), size_(options.processors.encoder_no_repeat_ngram_size) {}
  bool active(const RowContext& row) const override { return row.length + 1 >= size_; }
  bool needs_ids() const override { return true; }
  void apply(RowScores& scores, const RowContext& row) const override {
    const std::vector<int32_t>& source = sources_[static_cast<std::size_t>(row.sentence)];
    forbid_followers(scores, row.ids, source, static_cast<std::size_t>(size_));
  }

 private:
  const std::vector<std::vector<int32_t>>& sources_;
  int64_t size_;
};

}  // namespace

std::unique_ptr<const Processor> make_sequence_bias(std::vector<SequenceBias> biases) {
  if (biases.empty()) return nullptr;
  return std::make_unique<SequenceBiasProcessor>(std::move(biases));
}

std::unique_ptr<const Processor> make_encoder_repetition(const SearchOptions& options) {
  if (options.processors.encoder_repetition_penalty == 1.0) return nullptr;
  return std::make_unique<EncoderRepetitionProcessor>(options);
}

std::unique_ptr<const Processor> make_repetition(const ProcessorOptions& options) {
  if (options.repetition_penalty == 1.0) return nullptr;
  return std::make_unique<RepetitionProcessor>(static_cast<float>(options.repetition_penalty));
}

std::unique_ptr<const Processor> make_no_repeat_ngram(const ProcessorOptions& options) {
  if (options.no_repeat_ngram_size == 0) return nullptr;
  return std::make_unique<NoRepeatNgramProcessor>(options.no_repeat_ngram_size);
}

std::unique_ptr<const Processor> make_encoder_no_repeat_ngram(const SearchOptions& options) {
  if (options.processors.encoder_no_repeat_ngram_size == 0) return nullptr;
  return std::make_unique<EncoderNoRepeatNgramProcessor>(options);
}

}  // namespace fastseq
