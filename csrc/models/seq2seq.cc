#include "models/seq2seq.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>

#include "kernels/kernels.h"
#include "models/decoding.h"
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

/// Calls `run(sentences)`, on several threads, for groups of sentences of similar length, of at most `most` each.
void for_each_group(const Ragged& source, int64_t most, const std::function<void(std::span<const int64_t>)>& run) {
  const std::vector<int64_t> order = longest_first(source);
  const int64_t share = (source.batch_size + num_threads() - 1) / num_threads();
  const int64_t size = std::clamp<int64_t>(share, 1, most);
  const int64_t groups = (source.batch_size + size - 1) / size;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const auto first = static_cast<std::size_t>(g * size);
      run(std::span(order).subspan(first, std::min(static_cast<std::size_t>(size), order.size() - first)));
    }
  });
}

}  // namespace

std::vector<std::vector<Answer>> Seq2Seq::generate(const Ragged& source, const SearchOptions& options,
                                                   const OutputOptions& outputs, Cancellation& cancellation) const {
  std::vector<std::vector<Answer>> results(static_cast<std::size_t>(source.batch_size));
  // What stops one group stops the others, and they say no more than that they were cancelled.
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&](std::span<const int64_t> sentences) {
    const Selection group(source, sentences);
    auto answers = generate_group(group.view(), sentences, options, outputs, cancellation);
    for (std::size_t i = 0; i < sentences.size(); ++i) {
      results[static_cast<std::size_t>(sentences[i])] = std::move(answers[i]);
    }
  };
  const int64_t most = std::max<int64_t>(1, kGroupRows / std::max<int64_t>(1, options.rows_per_sentence()));
  for_each_group(source, most, [&](std::span<const int64_t> sentences) {
    try {
      run(sentences);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (failure == nullptr) failure = std::current_exception();
      cancellation.cancel();
    }
  });
  if (failure != nullptr) std::rethrow_exception(failure);
  return results;
}

std::vector<std::vector<Answer>> Seq2Seq::generate_group(const Ragged& source, std::span<const int64_t> sentences,
                                                         const SearchOptions& options, const OutputOptions& outputs,
                                                         Cancellation& cancellation) const {
  Decoding decoding(*this, source, options, outputs, false, sentences);
  while (!decoding.done()) {
    cancellation.check();
    decoding.step();
  }
  return decoding.answers();
}

void Seq2Seq::decode(const Ragged& source, const Ragged& target, float* logits, float* attention,
                     Cancellation& cancellation) const {
  const auto copy = [](float* to, const float* from, int64_t count) {
    if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  };
  std::vector<int64_t> attention_begin(static_cast<std::size_t>(source.batch_size) + 1, 0);
  for (int64_t b = 0; b < source.batch_size; ++b) {
    const auto i = static_cast<std::size_t>(b);
    attention_begin[i + 1] = attention_begin[i] + target.length(b) * source.length(b);
  }
  const int64_t vocab_size = target_vocab_size();
  const auto visit = [&](int64_t b, int64_t t, const float* row, const float* weights) {
    copy(logits + (target.offsets[b] + t) * vocab_size, row, vocab_size);
    if (attention == nullptr) return;
    copy(attention + attention_begin[static_cast<std::size_t>(b)] + t * source.length(b), weights, source.length(b));
  };
  teach(source, target, attention != nullptr, visit, cancellation);
}

void Seq2Seq::score(const Ragged& source, const Ragged& target, const int32_t* following, float* log_probs,
                    Cancellation& cancellation) const {
  const int64_t vocab_size = target_vocab_size();
  const auto visit = [&](int64_t b, int64_t t, float* logits, const float*) {
    const int64_t place = target.offsets[b] + t;
    kernels().log_softmax(logits, 1, vocab_size, logits);
    log_probs[place] = logits[following[place]];
  };
  teach(source, target, false, visit, cancellation);
}

void Seq2Seq::teach(const Ragged& source, const Ragged& target, bool with_attention, const Visit& visit,
                    Cancellation& cancellation) const {
  for_each_group(source, kGroupRows, [&](std::span<const int64_t> sentences) {
    const Selection sources(source, sentences), targets(target, sentences);
    const auto visit_own = [&](int64_t i, int64_t t, float* logits, const float* weights) {
      visit(sentences[static_cast<std::size_t>(i)], t, logits, weights);
    };
    teach_group(sources.view(), targets.view(), with_attention, visit_own, cancellation);
  });
}

void Seq2Seq::teach_group(const Ragged& source, const Ragged& target, bool with_attention, const Visit& visit,
                          Cancellation& cancellation) const {
  // The running sentences are the first ones of this order: at the first step row r continues sentence order[r],
  // later row r.
  const std::vector<int64_t> order = longest_first(target);
  int64_t longest_source = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest_source = std::max(longest_source, source.length(b));
  const std::unique_ptr<Decoder> decoder = start(source);
  std::vector<int64_t> parents = order;
  std::vector<int32_t> ids(order.size());
  Buffer<float> logits(source.batch_size * target_vocab_size());
  Buffer<float> attention(with_attention ? source.batch_size * longest_source : 0);
  std::size_t active = order.size();
  for (int64_t t = 0;; ++t) {
    while (active > 0 && target.length(order[active - 1]) <= t) --active;
    if (active == 0) return;
    cancellation.check();
    for (std::size_t r = 0; r < active; ++r) ids[r] = target.ids[target.offsets[order[r]] + t];
    decoder->step({std::span(ids).first(active), std::span(parents).first(active), std::span(order).first(active)},
                  logits.data(), with_attention ? attention.data() : nullptr);
    if (t == 0) std::iota(parents.begin(), parents.end(), 0);
    const float* weights = attention.data();
    for (std::size_t r = 0; r < active; ++r) {
      visit(order[r], t, logits.data() + static_cast<int64_t>(r) * target_vocab_size(), weights);
      if (with_attention) weights += source.length(order[r]);
    }
  }
}

}  // namespace fastseq
