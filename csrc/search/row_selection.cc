#include "search/row_selection.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"
#include "runtime/thread_pool.h"

namespace fastseq {

namespace {

// A thread is worth waking for about this many logits.
constexpr int64_t kLogitsPerChunk = 1 << 16;
// So many of the best tokens may be changed by processors before a row has to be read again.
constexpr int64_t kSpare = 16;

}  // namespace

RowSelection::RowSelection(const SearchOptions& options, bool normalised)
    : normalised_(normalised),
      accepts_invalid_(options.processors.remove_invalid_values),
      processors_(make_processors(options)) {
  for (const auto& processor : processors_) needs_ids_ = needs_ids_ || processor->needs_ids();
}

void RowSelection::read(const float* logits, int64_t vocab_size, int64_t width, const float* add,
                        std::span<const RowContext> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  logits_ = logits;
  vocab_size_ = vocab_size;
  width_ = std::min(width, vocab_size);
  stride_ = std::min(vocab_size, width + (processors_.empty() ? 0 : kSpare));
  scores_.resize(static_cast<std::size_t>(count * stride_));
  tokens_.resize(static_cast<std::size_t>(count * stride_));
  normalizers_.resize(static_cast<std::size_t>(2 * count));
  const int64_t grain = std::max<int64_t>(1, kLogitsPerChunk / vocab_size);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    kernels().log_softmax_topk(logits + begin * vocab_size, end - begin, vocab_size, vocab_size, stride_, nullptr,
                               scores_.data() + begin * stride_, tokens_.data() + begin * stride_,
                               normalizers_.data() + 2 * begin);
  });
  if (!accepts_invalid_) check(rows);
  if (!processors_.empty()) process(rows, grain);
  for (int64_t row = 0; add != nullptr && row < count; ++row) {
    for (int64_t rank = 0; rank < width_; ++rank) scores_[static_cast<std::size_t>(row * stride_ + rank)] += add[row];
  }
}

void RowSelection::check(std::span<const RowContext> rows) const {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (!rows[row].is_forced && std::isnan(scores_[row * static_cast<std::size_t>(stride_)])) {
      throw std::invalid_argument("logits of sentence " + std::to_string(rows[row].sentence) + " (row " +
                                  std::to_string(row) + ") contain NaN, +inf or no finite value");
    }
  }
}

float RowSelection::log_probability(int64_t row, int64_t token) const {
  const auto index = static_cast<std::size_t>(2 * row);
  const float value = (logits_[row * vocab_size_ + token] - normalizers_[index]) - normalizers_[index + 1];
  return std::isnan(value) ? 0.0F : value;
}

void RowSelection::process(std::span<const RowContext> rows, int64_t grain) {
  if (row_scores_.size() < rows.size()) row_scores_.resize(rows.size());
  std::vector<ScoredRow> scored;
  std::vector<int64_t> live;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].is_forced) continue;
    live.push_back(static_cast<int64_t>(row));
    scored.push_back({&row_scores_[row], &rows[row]});
    const int64_t at = static_cast<int64_t>(row) * vocab_size_;
    row_scores_[row].reset(logits_ + at, vocab_size_, normalised_, normalizers_[2 * row], normalizers_[2 * row + 1]);
  }
  const auto count = static_cast<int64_t>(scored.size());
  if (count == 0) return;
  for (std::size_t first = 0; first < processors_.size();) {
    if (processors_[first]->whole_step()) {
      processors_[first++]->apply_step(scored);
      continue;
    }
    std::size_t last = first;
    while (last < processors_.size() && !processors_[last]->whole_step()) ++last;
    parallel_for(count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const ScoredRow& row = scored[static_cast<std::size_t>(i)];
        for (std::size_t p = first; p < last; ++p) {
          if (processors_[p]->active(*row.context)) processors_[p]->apply(*row.scores, *row.context);
        }
      }
    });
    first = last;
  }
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) list_best(live[static_cast<std::size_t>(i)]);
  });
}

void RowSelection::list_best(int64_t row) {
  const RowScores& scores = row_scores_[static_cast<std::size_t>(row)];
  std::vector<Candidate> best;
  if (scores.is_dense()) {
    const auto width = static_cast<std::size_t>(width_);
    std::vector<float> values(width);
    std::vector<int64_t> tokens(width);
    kernels().log_softmax_topk(scores.values().data(), 1, vocab_size_, vocab_size_, width_, nullptr, values.data(),
                               tokens.data(), nullptr);
    for (const int64_t token : tokens) best.push_back({scores.get(static_cast<int32_t>(token)), row, token});
  } else if (!scores.only_entries() && scores.entries().empty()) {
    return;  // nothing was changed
  } else {
    if (!scores.only_entries()) collect_unchanged(row, scores, best);
    for (const RowScores::Entry& entry : scores.entries()) best.push_back({entry.score, row, entry.token});
  }
  std::sort(best.begin(), best.end(), [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.token < b.token;
  });
  best.resize(static_cast<std::size_t>(width_), {-std::numeric_limits<float>::infinity(), row, 0});
  for (std::size_t rank = 0; rank < best.size(); ++rank) {
    scores_[static_cast<std::size_t>(row * stride_) + rank] = best[rank].score;
    tokens_[static_cast<std::size_t>(row * stride_) + rank] = best[rank].token;
  }
}

void RowSelection::collect_unchanged(int64_t row, const RowScores& scores, std::vector<Candidate>& best) const {
  const auto collect = [&](const int64_t* tokens, int64_t count) {
    best.clear();
    for (int64_t i = 0; i < count && static_cast<int64_t>(best.size()) < width_; ++i) {
      const auto token = static_cast<int32_t>(tokens[i]);
      if (!scores.has_entry(token)) best.push_back({scores.get(token), row, token});
    }
  };
  collect(tokens_.data() + row * stride_, stride_);
  if (static_cast<int64_t>(best.size()) >= width_ || stride_ == vocab_size_) return;
  const int64_t count = std::min(vocab_size_, width_ + static_cast<int64_t>(scores.entries().size()));
  std::vector<float> values(static_cast<std::size_t>(count));
  std::vector<int64_t> tokens(static_cast<std::size_t>(count));
  kernels().log_softmax_topk(logits_ + row * vocab_size_, 1, vocab_size_, vocab_size_, count, nullptr, values.data(),
                             tokens.data(), nullptr);
  collect(tokens.data(), count);
}

}  // namespace fastseq
