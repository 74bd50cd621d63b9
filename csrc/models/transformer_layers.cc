#include "models/transformer_layers.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Numbers that a thread is worth waking for where little is done with each.
constexpr int64_t kMinimumShare = 1 << 16;

int64_t grain_of(int64_t size) { return kMinimumShare / (size + 1) + 1; }

/// sin and cos of position / 10000^(2i / size), interleaved, added to output.
void add_sinusoid(int64_t position, int64_t size, float* output) {
  for (int64_t i = 0; i < size; i += 2) {
    const double angle =
        static_cast<double>(position) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(size));
    output[i] += static_cast<float>(std::sin(angle));
    if (i + 1 < size) output[i + 1] += static_cast<float>(std::cos(angle));
  }
}

}  // namespace

Norm::Norm(const TensorMap& tensors, const std::string& name, int64_t size, const TransformerStackConfig& config)
    : weight(tensors.copy(name + ".weight", {size})), kind(config.norm), eps(config.norm_eps) {
  if (kind == NormKind::kLayer && config.norm_bias) bias = tensors.copy(name + ".bias", {size});
}

void Norm::forward(const float* input, int64_t rows, float* output) const {
  const KernelTable& table = kernels();
  const int64_t size = weight.size();
  parallel_for(rows, grain_of(size), [&](int64_t begin, int64_t end) {
    const float* from = input + begin * size;
    float* to = output + begin * size;
    if (kind == NormKind::kLayer) {
      table.layer_norm(from, end - begin, size, weight.data(), bias.data(), eps, to);
    } else {
      table.rms_norm(from, end - begin, size, weight.data(), eps, to);
    }
  });
}

SelfAttentionWeights::SelfAttentionWeights(const TensorMap& tensors, const std::string& name,
                                           const TransformerStackConfig& config)
    : query_key_value(tensors.linear(name + ".in_proj_weight", name + ".in_proj_bias", 3 * config.inner_size(),
                                     config.hidden_size)),
      output(tensors.linear(name + ".out_proj", config.hidden_size, config.inner_size())) {
  const int64_t heads = config.num_heads, size = config.head_size, count = config.relative_vectors();
  relative.count = count;
  const auto vectors = [&](const char* kind) {
    const Tensor tensor = tensors.read(name + kind, {heads * count, size});
    return DistanceVectors(tensor.view(), heads, count, size);
  };
  if (config.relative_keys) relative.keys = vectors(".relative_keys.weight");
  if (config.relative_queries) relative.queries = vectors(".relative_queries.weight");
}

CrossAttentionWeights::CrossAttentionWeights(const TensorMap& tensors, const std::string& name,
                                             const TransformerStackConfig& config)
    : output(tensors.linear(name + ".out_proj", config.hidden_size, config.inner_size())) {
  const int64_t inner = config.inner_size(), hidden = config.hidden_size;
  const bool biased = tensors.has(name + ".in_proj_bias");
  const Tensor bias = biased ? tensors.read(name + ".in_proj_bias", {3 * inner}) : Tensor();
  const Tensor weight = tensors.read(name + ".in_proj_weight", {3 * inner, hidden});
  const WeightView rest = weight.view().from_row(inner, hidden);
  query = Linear(weight.view(), bias.data, inner, hidden, tensors.compute_type());
  key_value = Linear(rest, biased ? bias.data + inner : nullptr, 2 * inner, hidden, tensors.compute_type());
}

void SsruWeights::step(const float* input, int64_t rows, float* scratch, float* cell, float* output) const {
  gates.forward(input, rows, scratch);
  CellArgs args;
  args.update = CellUpdate::kSsru;
  args.rows = rows;
  args.size = gates.in_features();
  args.input_gates = scratch;
  args.input_stride = gates.out_features();
  args.cell = cell;
  args.output = output;
  args.f.function = GateActivation::kSigmoid;
  args.h = {GateActivation::kRelu, std::numeric_limits<float>::infinity(), 0.0f};
  kernels().cell_update(args);
}

FeedForward::FeedForward(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config)
    : activation(config.activation),
      gated(config.gated),
      gate(gated ? tensors.linear(name + ".gate", config.intermediate_size, config.hidden_size) : Linear()),
      in(tensors.linear(name + ".linear1", config.intermediate_size, config.hidden_size)),
      out(tensors.linear(name + ".linear2", config.hidden_size, config.intermediate_size)) {}

void FeedForward::forward(const float* input, int64_t rows, float* scratch, float* output) const {
  const int64_t size = in.out_features();
  if (gated) {
    float* factor = scratch + rows * size;
    gate.forward(input, rows, factor, activation);
    in.forward(input, rows, scratch);
    const KernelTable& table = kernels();
    parallel_for(rows, grain_of(size), [&](int64_t begin, int64_t end) {
      float* product = scratch + begin * size;
      table.multiply(product, factor + begin * size, (end - begin) * size, product);
    });
  } else {
    in.forward(input, rows, scratch, activation);
  }
  out.forward(scratch, rows, output);
}

TransformerLayer::TransformerLayer(const TensorMap& tensors, const std::string& name, bool first,
                                   const TransformerStackConfig& config)
    : feed_forward(tensors, name, config),
      self_norm(first && !config.first_norm ? Norm() : Norm(tensors, name + ".norm1", config.hidden_size, config)),
      feed_forward_norm(tensors, name + (config.cross_attention ? ".norm3" : ".norm2"), config.hidden_size, config) {
  if (config.ssru) {
    ssru.emplace(tensors, name + ".ssru", config);
  } else {
    self_attention.emplace(tensors, name + ".self_attn", config);
  }
  if (!config.cross_attention) return;
  cross_attention.emplace(tensors, name + ".multihead_attn", config);
  cross_norm = Norm(tensors, name + ".norm2", config.hidden_size, config);
}

InputEmbedding::InputEmbedding(const TensorMap& tensors, const std::string& part,
                               std::shared_ptr<const Embedding> tokens, const TransformerStackConfig& config)
    : config_(config), tokens_(std::move(tokens)) {
  const int64_t width = config.table_width();
  if (config.positions == Positions::kTable) {
    positions_ = tensors.copy(part + ".positions.weight", {config.position_offset + config.max_positions, width});
  }
  if (config.token_types > 0) token_types_ = tensors.copy(part + ".token_types.weight", {config.token_types, width});
  if (config.embedding_norm) norm_ = Norm(tensors, part + ".embedding_norm", width, config);
  if (config.embedding_size > 0)
    projection_ = tensors.linear(part + ".embedding_projection", config.hidden_size, width);
}

void InputEmbedding::lookup(const Token& token, float* output) const {
  const int64_t width = config_.table_width();
  tokens_->row(token.id, output);
  for (int64_t i = 0; i < width; ++i) output[i] *= config_.embedding_scale;
  if (config_.positions == Positions::kSinusoidal) add_sinusoid(token.position, width, output);
  if (config_.positions == Positions::kTable) {
    if (token.position >= config_.max_positions) {
      throw std::invalid_argument("a sequence is longer than max_positions = " + std::to_string(config_.max_positions));
    }
    const float* position = positions_.data() + (config_.position_offset + token.position) * width;
    for (int64_t i = 0; i < width; ++i) output[i] += position[i];
  }
  if (config_.token_types > 0) {
    const float* type = token_types_.data() + token.type * width;
    for (int64_t i = 0; i < width; ++i) output[i] += type[i];
  }
}

void InputEmbedding::finish(float* sum, int64_t rows, float* output) const {
  if (config_.embedding_norm) norm_.forward(sum, rows, sum);
  if (config_.embedding_size > 0) projection_.forward(sum, rows, output);
}

OutputLayer::OutputLayer(const TensorMap& tensors, const TransformerStackConfig& decoder, const OutputConfig& output)
    : config(output),
      linear(tensors.linear(output.tied ? "decoder.embedding.weight" : "output.weight", "output.bias",
                            decoder.vocab_size, decoder.hidden_size)) {
  if (!config.dense) return;
  dense = tensors.linear("output.dense", decoder.hidden_size, decoder.hidden_size);
  norm = Norm(tensors, "output.norm", decoder.hidden_size, decoder);
}

void OutputLayer::forward(float* x, int64_t rows, float* logits) const {
  Buffer<float> hidden(config.dense ? rows * dense.out_features() : 0);
  if (config.dense) {
    dense.forward(x, rows, hidden.data(), config.activation);
    norm.forward(hidden.data(), rows, hidden.data());
    x = hidden.data();
  }
  if (config.scale != 1.0f) {
    for (int64_t i = 0; i < rows * linear.in_features(); ++i) x[i] *= config.scale;
  }
  linear.forward(x, rows, logits);
}

LabelHead::LabelHead(const TensorMap& tensors, const TransformerStackConfig& stack, const HeadConfig& head)
    : config(head) {
  const int64_t hidden = stack.hidden_size;
  if (head.dense) dense = tensors.linear("head.dense", hidden, hidden);
  if (head.norm) norm = Norm(tensors, "head.norm", hidden, stack);
  if (head.labels > 0) output = tensors.linear("head.output", head.labels, hidden);
}

void LabelHead::forward(float* x, int64_t rows, float* logits) const {
  Buffer<float> hidden(config.dense ? rows * dense.out_features() : 0);
  if (config.dense) {
    dense.forward(x, rows, hidden.data(), config.activation);
    x = hidden.data();
  }
  if (config.norm) norm.forward(x, rows, x);
  output.forward(x, rows, logits);
}

std::shared_ptr<const Embedding> own_embedding(const TensorMap& tensors, const std::string& part,
                                               const TransformerStackConfig& config) {
  const int64_t width = config.table_width();
  return std::make_shared<Embedding>(tensors.copy(part + ".embedding.weight", {config.vocab_size, width}), width);
}

void add_rows(const float* a, const float* b, int64_t rows, int64_t size, float* output) {
  const KernelTable& table = kernels();
  parallel_for(rows, grain_of(size), [&](int64_t begin, int64_t end) {
    table.add(a + begin * size, b + begin * size, (end - begin) * size, output + begin * size);
  });
}

}  // namespace fastseq
