#include "models/transformer_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fastseq {

TransformerDecoder::TransformerDecoder(const TransformerSeq2Seq& model, const Ragged& source,
                                       const Buffer<float>& memory)
    : model_(model),
      offsets_(source.offsets, source.offsets + source.batch_size + 1),
      caches_(model.decoder_layers_.size()) {
  for (const DecoderLayer& layer : model.decoder_layers_) {
    cross_.emplace_back(source.tokens() * 2 * model.config_.hidden_size);
    layer.cross_attention.key_value.forward(memory.data(), source.tokens(), cross_.back().data());
  }
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  scores_ = Buffer<float>(longest);
}

/// Row r inherits the ancestors of the row it continues and adds itself.
void TransformerDecoder::extend_ancestors(const StepRows& rows) {
  const auto before = static_cast<std::size_t>(steps_);
  const std::size_t count = rows.ids.size();
  next_ancestors_.resize(count * (before + 1));
  for (std::size_t r = 0; r < count; ++r) {
    int32_t* to = next_ancestors_.data() + r * (before + 1);
    const auto parent = static_cast<std::size_t>(rows.parents[r]);
    if (before > 0) std::copy_n(ancestors_.data() + parent * before, before, to);
    to[before] = static_cast<int32_t>(cached_rows_ + static_cast<int64_t>(r));
  }
  std::swap(ancestors_, next_ancestors_);
  ++steps_;
}

/// Where the keys and values of this step's rows go.
float* TransformerDecoder::append_cache(Cache& cache, int64_t rows) const {
  const int64_t width = 2 * model_.config_.hidden_size, needed = (cached_rows_ + rows) * width;
  if (cache.key_value.size() < needed) {
    Buffer<float> larger(std::max(needed, 2 * cache.key_value.size()));
    if (cached_rows_ > 0) {
      std::memcpy(larger.data(), cache.key_value.data(),
                  static_cast<std::size_t>(cached_rows_ * width) * sizeof(float));
    }
    cache.key_value = std::move(larger);
  }
  return cache.key_value.data() + cached_rows_ * width;
}

DecodeAttentionArgs TransformerDecoder::head_args() const {
  DecodeAttentionArgs args;
  args.heads = model_.config_.num_heads;
  args.head_size = model_.config_.hidden_size / args.heads;
  args.stride = 2 * model_.config_.hidden_size;
  args.scale = 1.0f / std::sqrt(static_cast<float>(args.head_size));
  return args;
}

void TransformerDecoder::self_attention(std::size_t layer, const float* input, int64_t rows, float* output) {
  const AttentionWeights& weights = model_.decoder_layers_[layer].self_attention;
  const int64_t hidden = model_.config_.hidden_size;
  Buffer<float> query(rows * hidden), context(rows * hidden);
  weights.query.forward(input, rows, query.data());
  weights.key_value.forward(input, rows, append_cache(caches_[layer], rows));
  scores_.reserve_discard(steps_);
  DecodeAttentionArgs args = head_args();
  args.keys = caches_[layer].key_value.data();
  args.values = args.keys + hidden;
  args.count = steps_;
  args.scores = scores_.data();
  for (int64_t r = 0; r < rows; ++r) {
    args.query = query.data() + r * hidden;
    args.index = ancestors_.data() + r * steps_;
    args.output = context.data() + r * hidden;
    model_.kernels_->decode_attention(args);
  }
  weights.output.forward(context.data(), rows, output);
}

void TransformerDecoder::cross_attention(std::size_t layer, const StepRows& step, const float* input, float* output,
                                         float* attention) {
  const AttentionWeights& weights = model_.decoder_layers_[layer].cross_attention;
  const auto rows = static_cast<int64_t>(step.ids.size());
  const int64_t hidden = model_.config_.hidden_size;
  Buffer<float> query(rows * hidden), context(rows * hidden);
  weights.query.forward(input, rows, query.data());
  DecodeAttentionArgs args = head_args();
  args.scores = scores_.data();
  for (int64_t r = 0; r < rows; ++r) {
    const auto sentence = static_cast<std::size_t>(step.sentences[static_cast<std::size_t>(r)]);
    args.count = offsets_[sentence + 1] - offsets_[sentence];
    args.keys = cross_[layer].data() + offsets_[sentence] * args.stride;
    args.values = args.keys + hidden;
    args.query = query.data() + r * hidden;
    args.output = context.data() + r * hidden;
    if (attention != nullptr) {
      args.mean_weights = attention;
      std::fill_n(attention, args.count, 0.0f);
      attention += args.count;
    }
    model_.kernels_->decode_attention(args);
  }
  weights.output.forward(context.data(), rows, output);
}

void TransformerDecoder::step(const StepRows& step, float* logits, float* attention) {
  const auto rows = static_cast<int64_t>(step.ids.size());
  const int64_t hidden = model_.config_.hidden_size;
  Buffer<float> x(rows * hidden);
  for (int64_t r = 0; r < rows; ++r) {
    model_.target_embedding_.lookup(step.ids[static_cast<std::size_t>(r)], steps_, x.data() + r * hidden);
  }
  extend_ancestors(step);
  for (std::size_t i = 0; i < model_.decoder_layers_.size(); ++i) {
    const DecoderLayer& layer = model_.decoder_layers_[i];
    const bool last = i + 1 == model_.decoder_layers_.size();
    model_.residual(layer.norm1, rows, x.data(),
                    [&](const float* input, float* output) { self_attention(i, input, rows, output); });
    model_.residual(layer.norm2, rows, x.data(), [&](const float* input, float* output) {
      cross_attention(i, step, input, output, last ? attention : nullptr);
    });
    model_.residual(layer.norm3, rows, x.data(), [&](const float* input, float* output) {
      model_.feed_forward(layer.feed_forward, input, rows, output);
    });
  }
  cached_rows_ += rows;
  if (model_.config_.norm_first) model_.decoder_norm_.forward(*model_.kernels_, x.data(), rows, x.data());
  model_.output_.forward(x.data(), rows, logits);
}

}  // namespace fastseq
