#include "models/transformer_decoder.h"

#include <algorithm>
#include <cstring>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Multiply-adds of attention below which a share of the rows is not worth a thread.
constexpr int64_t kMinimumShare = 1 << 18;

}  // namespace

TransformerDecoder::TransformerDecoder(const TransformerStack& stack, const OutputLayer& output, const Ragged& source,
                                       const float* memory)
    : stack_(stack),
      output_(output),
      offsets_(source.offsets, source.offsets + source.batch_size + 1),
      caches_(static_cast<std::size_t>(stack.num_layers())),
      begins_(static_cast<std::size_t>(source.batch_size) + 1, 0) {
  for (int64_t i = 0; i < stack.num_layers(); ++i) {
    cross_.emplace_back(source.tokens() * 2 * stack.config().inner_size());
    stack.layer(i).cross_attention->key_value.forward(memory, source.tokens(), cross_.back().data());
  }
}

TransformerDecoder::TransformerDecoder(const TransformerStack& stack, const OutputLayer& output, const Ragged& prompts)
    : stack_(stack), output_(output), caches_(static_cast<std::size_t>(stack.num_layers())), begins_{0} {
  std::vector<int32_t> ids;
  for (int64_t b = 0; b < prompts.batch_size; ++b) {
    const int32_t* last = prompts.ids + prompts.offsets[b + 1] - 1;
    ids.insert(ids.end(), prompts.ids + prompts.offsets[b], last);
    first_ids_.push_back(*last);
    begins_.push_back(static_cast<int64_t>(ids.size()));
  }
  const auto tokens = static_cast<int64_t>(ids.size());
  for (int64_t i = 0; i < tokens; ++i) ancestors_.push_back(static_cast<int32_t>(i));
  Buffer<float> hidden(tokens * stack.config().hidden_size);
  stack.read_prompts(
      {ids.data(), begins_.data(), prompts.batch_size},
      [&](int64_t i) { return append_cache(caches_[static_cast<std::size_t>(i)], tokens); }, hidden.data());
  cached_rows_ = tokens;
}

/// Row r inherits the history of the row it continues, or of its sentence's prompt, and adds itself.
void TransformerDecoder::extend_histories(const StepRows& rows) {
  next_begins_.assign(1, 0);
  next_ancestors_.clear();
  longest_ = 0;
  for (std::size_t r = 0; r < rows.ids.size(); ++r) {
    const auto from = static_cast<std::size_t>(started_ ? rows.parents[r] : rows.sentences[r]);
    next_ancestors_.insert(next_ancestors_.end(), ancestors_.begin() + begins_[from],
                           ancestors_.begin() + begins_[from + 1]);
    next_ancestors_.push_back(static_cast<int32_t>(cached_rows_ + static_cast<int64_t>(r)));
    next_begins_.push_back(static_cast<int64_t>(next_ancestors_.size()));
    longest_ = std::max(longest_, next_begins_[r + 1] - next_begins_[r]);
  }
  std::swap(begins_, next_begins_);
  std::swap(ancestors_, next_ancestors_);
}

/// Row r of each cell state becomes that of the row it continues; zeros at first.
void TransformerDecoder::take_cells(const StepRows& rows) {
  const int64_t size = stack_.config().hidden_size;
  if (cells_.empty()) cells_.resize(caches_.size());
  for (Buffer<float>& cells : cells_) {
    auto next = Buffer<float>::zeros(static_cast<int64_t>(rows.ids.size()) * size);
    for (std::size_t r = 0; started_ && r < rows.ids.size(); ++r) {
      std::memcpy(next.data() + static_cast<int64_t>(r) * size, cells.data() + rows.parents[r] * size, bytes(size));
    }
    cells = std::move(next);
  }
}

void TransformerDecoder::ssru(int64_t layer, const float* input, int64_t rows, float* output) {
  stack_.layer(layer).ssru->step(input, rows, projected_.data(), cells_[static_cast<std::size_t>(layer)].data(),
                                 output);
}

/// Where the keys and values of this step's rows go.
float* TransformerDecoder::append_cache(Cache& cache, int64_t rows) const {
  const int64_t width = 2 * stack_.config().inner_size(), needed = (cached_rows_ + rows) * width;
  if (cache.key_value.size() < needed) {
    Buffer<float> larger(std::max(needed, 2 * cache.key_value.size()));
    if (cached_rows_ > 0) std::memcpy(larger.data(), cache.key_value.data(), bytes(cached_rows_ * width));
    cache.key_value = std::move(larger);
  }
  return cache.key_value.data() + cached_rows_ * width;
}

DecodeAttentionArgs TransformerDecoder::head_args() const {
  DecodeAttentionArgs args;
  args.heads = stack_.config().num_heads;
  args.head_size = stack_.config().head_size;
  args.stride = 2 * stack_.config().inner_size();
  args.scale = stack_.config().attention_scale;
  return args;
}

void TransformerDecoder::self_attention(int64_t layer, const float* input, int64_t rows, float* output) {
  const SelfAttentionWeights& weights = *stack_.layer(layer).self_attention;
  const int64_t inner = stack_.config().inner_size();
  Cache& cache = caches_[static_cast<std::size_t>(layer)];
  weights.query_key_value.forward(input, rows, projected_.data());
  float* appended = append_cache(cache, rows);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(appended + r * 2 * inner, projected_.data() + r * 3 * inner + inner, bytes(2 * inner));
  }
  parallel_for(rows, kMinimumShare / (2 * inner * longest_) + 1, [&](int64_t begin, int64_t end) {
    Buffer<float> scores(longest_);
    DecodeAttentionArgs args = head_args();
    args.keys = cache.key_value.data();
    args.values = args.keys + inner;
    args.scores = scores.data();
    args.bias_stride = longest_;
    for (int64_t r = begin; r < end; ++r) {
      args.count = history(r);
      args.query = projected_.data() + r * 3 * inner;
      args.index = ancestors_.data() + begins_[static_cast<std::size_t>(r)];
      args.output = context_.data() + r * inner;
      if (biases_.size() > 0) args.bias = biases_.data() + longest_ - args.count;
      kernels().decode_attention(args);
    }
  });
  weights.output.forward(context_.data(), rows, output);
}

void TransformerDecoder::cross_attention(int64_t layer, const StepRows& step, const float* input, float* output,
                                         float* attention) {
  const CrossAttentionWeights& weights = *stack_.layer(layer).cross_attention;
  const auto rows = static_cast<int64_t>(step.ids.size());
  const int64_t inner = stack_.config().inner_size();
  const auto first = [&](int64_t r) { return static_cast<std::size_t>(step.sentences[static_cast<std::size_t>(r)]); };
  int64_t total = 0, longest = 0;
  std::vector<float*> shares(attention != nullptr ? step.ids.size() : 0);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t count = offsets_[first(r) + 1] - offsets_[first(r)];
    if (attention != nullptr) shares[static_cast<std::size_t>(r)] = attention + total;
    total += count;
    longest = std::max(longest, count);
  }
  if (attention != nullptr) std::fill_n(attention, total, 0.0f);
  weights.query.forward(input, rows, projected_.data());
  parallel_for(rows, kMinimumShare / (2 * inner * (total / rows + 1)) + 1, [&](int64_t begin, int64_t end) {
    Buffer<float> scores(longest);
    DecodeAttentionArgs args = head_args();
    args.scores = scores.data();
    for (int64_t r = begin; r < end; ++r) {
      args.count = offsets_[first(r) + 1] - offsets_[first(r)];
      args.keys = cross_[static_cast<std::size_t>(layer)].data() + offsets_[first(r)] * args.stride;
      args.values = args.keys + inner;
      args.query = projected_.data() + r * inner;
      args.output = context_.data() + r * inner;
      if (attention != nullptr) args.mean_weights = shares[static_cast<std::size_t>(r)];
      kernels().decode_attention(args);
    }
  });
  weights.output.forward(context_.data(), rows, output);
}

void TransformerDecoder::step(const StepRows& step, float* logits, float* attention) {
  const auto rows = static_cast<int64_t>(step.ids.size());
  if (rows == 0) return;
  const TransformerStackConfig& config = stack_.config();
  extend_histories(step);
  if (config.ssru) take_cells(step);
  x_.reserve_discard(rows * config.hidden_size);
  residual_.reserve_discard(2 * rows * config.hidden_size);
  projected_.reserve_discard(rows * std::max(3 * config.inner_size(), 2 * config.hidden_size));
  context_.reserve_discard(rows * config.inner_size());
  const bool prompted = !started_ && !first_ids_.empty();
  stack_.embedding().forward(
      rows,
      [&](int64_t r) {
        const auto i = static_cast<std::size_t>(r);
        const int32_t id = prompted ? first_ids_[static_cast<std::size_t>(step.sentences[i])] : step.ids[i];
        return InputEmbedding::Token{id, 0, history(r) - 1};
      },
      x_.data());
  for (int64_t i = 0; i < stack_.num_layers(); ++i) {
    const TransformerLayer& layer = stack_.layer(i);
    const bool last = i + 1 == stack_.num_layers();
    const auto part = [&](const Norm& norm, const auto& block) {
      stack_.residual(norm, rows, x_.data(), residual_.data(), block);
    };
    stack_.relative_biases(i, 1 - longest_, 0, biases_);
    part(layer.self_norm, [&](const float* input, float* output) {
      layer.ssru ? ssru(i, input, rows, output) : self_attention(i, input, rows, output);
    });
    if (layer.cross_attention) {
      part(layer.cross_norm, [&](const float* input, float* output) {
        cross_attention(i, step, input, output, last ? attention : nullptr);
      });
    }
    inner_.reserve_discard(layer.feed_forward.scratch_size(rows));
    part(layer.feed_forward_norm,
         [&](const float* input, float* output) { layer.feed_forward.forward(input, rows, inner_.data(), output); });
  }
  cached_rows_ += rows;
  started_ = true;
  stack_.final_norm(rows, x_.data());
  output_.forward(x_.data(), rows, logits);
}

}  // namespace fastseq
