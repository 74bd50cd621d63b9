#include "models/seq2seq.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Sentences that are decoded together: enough rows to use each weight many times, few enough for the caches of a
// long corpus to stay bounded.
constexpr int64_t kGroupRows = 128;

/// Some sequences of a batch, copied end to end.
struct Selection {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets{0};

  Selection(const Ragged& all, std::span<const int64_t> sequences) {
    for (const int64_t b : sequences) {
      ids.insert(ids.end(), all.ids + all.offsets[b], all.ids + all.offsets[b + 1]);
      offsets.push_back(static_cast<int64_t>(ids.size()));
    }
  }
  Ragged view() const { return {ids.data(), offsets.data(), static_cast<int64_t>(offsets.size()) - 1}; }
};

std::vector<int64_t> longest_first(const Ragged& batch) {
  std::vector<int64_t> order(static_cast<std::size_t>(batch.batch_size));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return batch.length(a) > batch.length(b); });
  return order;
}

}  // namespace

std::vector<std::vector<Hypothesis>> Seq2Seq::generate(const Ragged& source, const SearchOptions& options,
                                                       Cancellation& cancellation) const {
  std::vector<std::vector<Hypothesis>> results(static_cast<std::size_t>(source.batch_size));
  const std::vector<int64_t> order = longest_first(source);
  const int64_t most = std::max<int64_t>(1, kGroupRows / std::max<int64_t>(1, options.num_beams));
  const int64_t share = (source.batch_size + num_threads() - 1) / num_threads();
  const int64_t size = std::clamp<int64_t>(share, 1, most);
  const int64_t groups = (source.batch_size + size - 1) / size;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const auto first = static_cast<std::size_t>(g * size);
      const std::span<const int64_t> sentences =
          std::span(order).subspan(first, std::min(static_cast<std::size_t>(size), order.size() - first));
      const Selection group(source, sentences);
      auto hypotheses = generate_group(group.view(), sentences, options, cancellation);
      for (std::size_t i = 0; i < sentences.size(); ++i) {
        results[static_cast<std::size_t>(sentences[i])] = std::move(hypotheses[i]);
      }
    }
  });
  return results;
}

std::vector<std::vector<Hypothesis>> Seq2Seq::generate_group(const Ragged& source, std::span<const int64_t> sentences,
                                                             const SearchOptions& options,
                                                             Cancellation& cancellation) const {
  const std::unique_ptr<Search> search = make_search(source.batch_size, options, sentences);
  if (search->done()) return search->result();
  const std::unique_ptr<Decoder> decoder = start(source);
  Buffer<float> logits;
  while (!search->done()) {
    cancellation.check();
    const StepRows rows{search->ids(), search->parents(), search->sentences()};
    const auto count = static_cast<int64_t>(rows.ids.size());
    logits.reserve_discard(count * target_vocab_size());
    decoder->step(rows, logits.data(), nullptr);
    search->advance(logits.data(), count, target_vocab_size());
  }
  return search->result();
}

void Seq2Seq::decode(const Ragged& source, const Ragged& target, float* logits, float* attention,
                     Cancellation& cancellation) const {
  const auto floats = [](int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); };
  const int64_t vocab_size = target_vocab_size();
  // The running sentences are the first ones of this order: at the first step row r continues sentence order[r],
  // later row r.
  const std::vector<int64_t> order = longest_first(target);
  std::vector<int64_t> attention_begin(static_cast<std::size_t>(source.batch_size) + 1, 0);
  int64_t longest_source = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) {
    const auto i = static_cast<std::size_t>(b);
    attention_begin[i + 1] = attention_begin[i] + target.length(b) * source.length(b);
    longest_source = std::max(longest_source, source.length(b));
  }
  const std::unique_ptr<Decoder> decoder = start(source);
  std::vector<int64_t> parents = order;
  std::vector<int32_t> ids(order.size());
  Buffer<float> step_logits(source.batch_size * vocab_size);
  Buffer<float> step_attention(attention != nullptr ? source.batch_size * longest_source : 0);
  std::size_t active = order.size();
  for (int64_t t = 0;; ++t) {
    while (active > 0 && target.length(order[active - 1]) <= t) --active;
    if (active == 0) return;
    cancellation.check();
    for (std::size_t r = 0; r < active; ++r) ids[r] = target.ids[target.offsets[order[r]] + t];
    decoder->step({std::span(ids).first(active), std::span(parents).first(active), std::span(order).first(active)},
                  step_logits.data(), attention != nullptr ? step_attention.data() : nullptr);
    if (t == 0) std::iota(parents.begin(), parents.end(), 0);
    const float* weights = step_attention.data();
    for (std::size_t r = 0; r < active; ++r) {
      const int64_t b = order[r];
      std::memcpy(logits + (target.offsets[b] + t) * vocab_size,
                  step_logits.data() + static_cast<int64_t>(r) * vocab_size, floats(vocab_size));
      if (attention == nullptr || source.length(b) == 0) continue;
      std::memcpy(attention + attention_begin[static_cast<std::size_t>(b)] + t * source.length(b), weights,
                  floats(source.length(b)));
      weights += source.length(b);
    }
  }
}

}  // namespace fastseq
