#include "models/transformer_seq2seq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "models/transformer_decoder.h"
#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Sinusoids of this many positions are kept; later ones are computed when they are needed.
constexpr int64_t kSinusoidTable = 256;

/// sin and cos of position / 10000^(2i / size), interleaved.
void sinusoid(int64_t position, int64_t size, float* output) {
  for (int64_t i = 0; i < size; i += 2) {
    const double angle =
        static_cast<double>(position) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(size));
    output[i] = static_cast<float>(std::sin(angle));
    if (i + 1 < size) output[i + 1] = static_cast<float>(std::cos(angle));
  }
}

Linear output_layer(const TensorMap& tensors, const TransformerSeq2SeqConfig& config) {
  const int64_t vocab_size = config.target_vocab_size, hidden = config.hidden_size;
  const float* bias = tensors.has("output.bias") ? tensors.get("output.bias", {vocab_size}) : nullptr;
  const char* weight = config.tie_output ? "decoder.embedding.weight" : "output.weight";
  return Linear(tensors.weight(weight, {vocab_size, hidden}), bias, vocab_size, hidden, tensors.compute_type());
}

}  // namespace

LayerNorm::LayerNorm(const TensorMap& tensors, const std::string& name, int64_t size, float epsilon)
    : weight(tensors.copy(name + ".weight", {size})), bias(tensors.copy(name + ".bias", {size})), eps(epsilon) {}

void LayerNorm::forward(const KernelTable& kernels, const float* input, int64_t rows, float* output) const {
  kernels.layer_norm(input, rows, weight.size(), weight.data(), bias.data(), eps, output);
}

AttentionWeights::AttentionWeights(const TensorMap& tensors, const std::string& name, int64_t hidden)
    : output(tensors.linear(name + ".out_proj", hidden, hidden)) {
  const WeightView weight = tensors.weight(name + ".in_proj_weight", {3 * hidden, hidden});
  const float* bias = tensors.get(name + ".in_proj_bias", {3 * hidden});
  const ComputeType type = tensors.compute_type();
  query = Linear(weight, bias, hidden, hidden, type);
  key_value = Linear(weight.from_row(hidden, hidden), bias + hidden, 2 * hidden, hidden, type);
}

FeedForward::FeedForward(const TensorMap& tensors, const std::string& name, int64_t hidden_size,
                         int64_t intermediate_size)
    : in(tensors.linear(name + ".linear1", intermediate_size, hidden_size)),
      out(tensors.linear(name + ".linear2", hidden_size, intermediate_size)) {}

TokenEmbedding::TokenEmbedding(const TensorMap& tensors, const std::string& part, int64_t vocab_size,
                               const TransformerSeq2SeqConfig& config)
    : weight_(tensors.copy(part + ".embedding.weight", {vocab_size, config.hidden_size})),
      hidden_size_(config.hidden_size),
      table_size_(config.learned_positions ? config.max_positions : kSinusoidTable),
      learned_(config.learned_positions),
      scale_(config.scale_embedding ? std::sqrt(static_cast<float>(config.hidden_size)) : 1.0f) {
  if (learned_) {
    positions_ = tensors.copy(part + ".positions.weight", {table_size_, hidden_size_});
    return;
  }
  positions_ = Buffer<float>(table_size_ * hidden_size_);
  for (int64_t t = 0; t < table_size_; ++t) sinusoid(t, hidden_size_, positions_.data() + t * hidden_size_);
}

void TokenEmbedding::lookup(int32_t id, int64_t position, float* output) const {
  const float* embedding = weight_.data() + id * hidden_size_;
  const float* added = positions_.data() + position * hidden_size_;
  if (position >= table_size_) {
    if (learned_) {
      throw std::invalid_argument("a sequence is longer than max_positions = " + std::to_string(table_size_));
    }
    sinusoid(position, hidden_size_, output);
    added = output;
  }
  for (int64_t i = 0; i < hidden_size_; ++i) output[i] = embedding[i] * scale_ + added[i];
}

TransformerSeq2Seq::TransformerSeq2Seq(const TransformerSeq2SeqConfig& config, const TensorMap& tensors)
    : config_(config),
      kernels_(&kernels()),
      source_embedding_(tensors, "encoder", config.source_vocab_size, config),
      target_embedding_(tensors, "decoder", config.target_vocab_size, config),
      output_(output_layer(tensors, config)) {
  const int64_t hidden = config.hidden_size;
  const auto norm = [&](const std::string& name) { return LayerNorm(tensors, name, hidden, config.layer_norm_eps); };
  for (int64_t i = 0; i < config.encoder_num_layers; ++i) {
    const std::string name = "encoder.layers." + std::to_string(i);
    encoder_layers_.push_back({AttentionWeights(tensors, name + ".self_attn", hidden),
                               FeedForward(tensors, name, hidden, config.intermediate_size), norm(name + ".norm1"),
                               norm(name + ".norm2")});
  }
  for (int64_t i = 0; i < config.decoder_num_layers; ++i) {
    const std::string name = "decoder.layers." + std::to_string(i);
    decoder_layers_.push_back({AttentionWeights(tensors, name + ".self_attn", hidden),
                               AttentionWeights(tensors, name + ".multihead_attn", hidden),
                               FeedForward(tensors, name, hidden, config.intermediate_size), norm(name + ".norm1"),
                               norm(name + ".norm2"), norm(name + ".norm3")});
  }
  if (config.norm_first) {
    encoder_norm_ = norm("encoder.norm");
    decoder_norm_ = norm("decoder.norm");
  }
}

void TransformerSeq2Seq::feed_forward(const FeedForward& layer, const float* input, int64_t rows, float* output) const {
  Buffer<float> inner(rows * config_.intermediate_size);
  layer.in.forward(input, rows, inner.data(), config_.activation);
  layer.out.forward(inner.data(), rows, output);
}

void TransformerSeq2Seq::self_attention(const EncoderLayer& layer, const Ragged& source, const float* input,
                                        float* output) const {
  const int64_t tokens = source.tokens(), hidden = config_.hidden_size, heads = config_.num_heads;
  const int64_t size = hidden / heads;
  Buffer<float> query(tokens * hidden), key_value(tokens * 2 * hidden), context(tokens * hidden);
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  layer.self_attention.query.forward(input, tokens, query.data());
  layer.self_attention.key_value.forward(input, tokens, key_value.data());
  parallel_for(source.batch_size * heads, 8, [&](int64_t begin, int64_t end) {
    Buffer<float> scratch(attention_scratch_size(longest, size, size));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / heads, column = i % heads * size, first = source.offsets[b];
      AttentionArgs args;
      args.queries = args.keys = source.length(b);
      args.head_size = args.value_size = size;
      args.query = query.data() + first * hidden + column;
      args.key = key_value.data() + first * 2 * hidden + column;
      args.value = args.key + hidden;
      args.output = context.data() + first * hidden + column;
      args.query_stride = args.output_stride = hidden;
      args.key_stride = args.value_stride = 2 * hidden;
      args.scale = 1.0f / std::sqrt(static_cast<float>(size));
      args.scratch = scratch.data();
      kernels_->attention(args);
    }
  });
  layer.self_attention.output.forward(context.data(), tokens, output);
}

void TransformerSeq2Seq::encode(const Ragged& source, float* memory) const {
  const int64_t tokens = source.tokens();
  for (int64_t b = 0; b < source.batch_size; ++b) {
    for (int64_t i = source.offsets[b]; i < source.offsets[b + 1]; ++i) {
      source_embedding_.lookup(source.ids[i], i - source.offsets[b], memory + i * config_.hidden_size);
    }
  }
  for (const EncoderLayer& layer : encoder_layers_) {
    residual(layer.norm1, tokens, memory,
             [&](const float* input, float* output) { self_attention(layer, source, input, output); });
    residual(layer.norm2, tokens, memory,
             [&](const float* input, float* output) { feed_forward(layer.feed_forward, input, tokens, output); });
  }
  if (config_.norm_first) encoder_norm_.forward(*kernels_, memory, tokens, memory);
}

std::unique_ptr<Decoder> TransformerSeq2Seq::start(const Ragged& source) const {
  Buffer<float> memory(source.tokens() * config_.hidden_size);
  encode(source, memory.data());
  return std::make_unique<TransformerDecoder>(*this, source, memory);
}

}  // namespace fastseq
