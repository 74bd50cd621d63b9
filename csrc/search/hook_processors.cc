// Processors that call functions of the caller.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "search/processors.h"

namespace fastseq {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

/// Leaves the tokens that a function of the caller names (prefix_allowed_tokens_fn).
class AllowedTokensProcessor final : public Processor {
 public:
  explicit AllowedTokensProcessor(const SearchHooks& hooks) : hooks_(hooks) {}
  bool active(const RowContext&) const override { return true; }
  bool needs_ids() const override { return true; }
  bool whole_step() const override { return true; }
  void apply(RowScores&, const RowContext&) const override {}

  void apply_step(std::span<const ScoredRow> rows) const override {
    for (std::size_t begin = 0; begin < rows.size();) {
      std::size_t end = begin + 1;
      while (end < rows.size() && rows[end].context->sentence == rows[begin].context->sentence) ++end;
      restrict_sentence(rows.subspan(begin, end - begin));
      begin = end;
    }
  }

 private:
  void restrict_sentence(std::span<const ScoredRow> rows) const {
    bool possible = false;
    std::vector<RowScores::Entry> kept;
    for (const ScoredRow& row : rows) {
      kept.clear();
      for (const int32_t token : allowed(row)) {
        kept.push_back({token, row.scores->get(token)});
        possible = possible || kept.back().score > kImpossible;
      }
      row.scores->keep_only(kept);
    }
    if (possible) return;
    // What is allowed has no probability in any beam: as in Hugging Face, all of it becomes equally probable.
    for (const ScoredRow& row : rows) {
      kept.clear();
      for (const int32_t token : allowed(row)) kept.push_back({token, 0.0F});
      row.scores->keep_only(kept);
    }
  }

  std::vector<int32_t> allowed(const ScoredRow& row) const {
    std::vector<int32_t> tokens = hooks_.allowed_tokens(row.context->sentence, row.context->ids);
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    const std::string where = "prefix_allowed_tokens_fn: for sentence " + std::to_string(row.context->sentence);
    if (tokens.empty()) throw std::invalid_argument(where + " it allows no token");
    if (tokens.front() < 0 || tokens.back() >= row.scores->vocab_size()) {
      const int32_t wrong = tokens.front() < 0 ? tokens.front() : tokens.back();
      throw std::invalid_argument(where + " it allows " + std::to_string(wrong) + "; expected ids in [0, " +
                                  std::to_string(row.scores->vocab_size()) + ")");
    }
    return tokens;
  }

  const SearchHooks& hooks_;
};

/// Lets functions of the caller change all scores (logits_processor).
class CustomProcessor final : public Processor {
 public:
  explicit CustomProcessor(const SearchHooks& hooks) : hooks_(hooks) {}
  bool active(const RowContext&) const override { return true; }
  bool needs_ids() const override { return true; }
  bool whole_step() const override { return true; }
  void apply(RowScores&, const RowContext&) const override {}

  void apply_step(std::span<const ScoredRow> rows) const override {
    const auto vocab_size = static_cast<std::size_t>(rows[0].scores->vocab_size());
    const std::size_t length = rows[0].context->ids.size();
    std::vector<int32_t> ids;
    std::vector<float> scores;
    for (const ScoredRow& row : rows) {
      ids.insert(ids.end(), row.context->ids.begin(), row.context->ids.end());
      const std::span<const float> values = row.scores->dense();
      scores.insert(scores.end(), values.begin(), values.end());
    }
    hooks_.process(ids.data(), scores.data(), static_cast<int64_t>(rows.size()), static_cast<int64_t>(length),
                   static_cast<int64_t>(vocab_size));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = scores.begin() + static_cast<std::ptrdiff_t>(i * vocab_size);
      if (std::any_of(row, row + static_cast<std::ptrdiff_t>(vocab_size), [](float x) { return !(x < kTooLarge); })) {
        throw std::invalid_argument("logits_processor: scores of sentence " +
                                    std::to_string(rows[i].context->sentence) + " contain NaN or +inf");
      }
      std::copy_n(row, vocab_size, rows[i].scores->dense().begin());
    }
  }

 private:
  static constexpr float kTooLarge = std::numeric_limits<float>::infinity();
  const SearchHooks& hooks_;
};

}  // namespace

std::unique_ptr<const Processor> make_allowed_tokens(const SearchOptions& options) {
  if (options.hooks == nullptr || !options.hooks->allowed_tokens) return nullptr;
  return std::make_unique<AllowedTokensProcessor>(*options.hooks);
}

std::unique_ptr<const Processor> make_custom(const SearchOptions& options) {
  if (options.hooks == nullptr || !options.hooks->process) return nullptr;
  return std::make_unique<CustomProcessor>(*options.hooks);
}

}  // namespace fastseq
