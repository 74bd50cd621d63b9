#include "models/deep_recurrent_seq2seq.h"

#include <cstring>

#include "models/deep_recurrent_decoder.h"

namespace fastseq {
namespace {

std::vector<TransitionLayer> stack(const TensorMap& tensors, const std::string& name, const TransitionOptions& options,
                                   int64_t layers, int64_t depth, int64_t input_size, int64_t hidden_size) {
  std::vector<TransitionLayer> result;
  for (int64_t i = 0; i < layers; ++i) {
    result.emplace_back(tensors, name + "." + std::to_string(i), options, depth, i == 0 ? input_size : hidden_size,
                        hidden_size);
  }
  return result;
}

/// `name`.weight, with layer_norm `name`.norm, and a bias.
NormedLinear normed(const DeepRecurrentSeq2SeqConfig& config, const TensorMap& tensors, const std::string& name,
                    const std::string& bias, int64_t out_features, int64_t in_features) {
  const NormedNames names{name + ".weight", "", config.layer_norm ? name + ".norm" : "", bias};
  return NormedLinear(tensors, names, out_features, in_features, kMarianNormEps);
}

}  // namespace

DeepOutput::DeepOutput(const DeepRecurrentSeq2SeqConfig& config, const TensorMap& tensors)
    : sizes_{config.embedding_size, config.hidden_size, config.memory_size()} {
  const int64_t width = config.embedding_size;
  if (!config.layer_norm) {
    joined_ = tensors.linear("decoder.hidden", width, sizes_[0] + sizes_[1] + sizes_[2]);
    return;
  }
  const char* const parts[] = {"decoder.hidden.word", "decoder.hidden.state", "decoder.hidden.context"};
  for (int i = 0; i < 3; ++i) {
    normed_[i] = normed(config, tensors, parts[i], i == 0 ? "decoder.hidden.bias" : "", width, sizes_[i]);
  }
}

void DeepOutput::forward(const float* word, const float* state, const float* context, int64_t rows,
                         float* output) const {
  const float* const inputs[] = {word, state, context};
  if (joined_.out_features() > 0) {
    const int64_t width = sizes_[0] + sizes_[1] + sizes_[2];
    Buffer<float> joined(rows * width);
    for (int64_t r = 0; r < rows; ++r) {
      float* to = joined.data() + r * width;
      for (int i = 0; i < 3; to += sizes_[i++]) std::memcpy(to, inputs[i] + r * sizes_[i], bytes(sizes_[i]));
    }
    joined_.forward(joined.data(), rows, output, Activation::kTanh);
    return;
  }
  const int64_t size = rows * sizes_[0];
  Buffer<float> part(size);
  normed_[0].forward(word, rows, output);
  for (int i = 1; i < 3; ++i) {
    normed_[i].forward(inputs[i], rows, part.data());
    kernels().add(output, part.data(), size, output);
  }
  kernels().tanh(output, size, output);
}

DeepRecurrentSeq2Seq::DeepRecurrentSeq2Seq(const DeepRecurrentSeq2SeqConfig& config, const TensorMap& tensors)
    : config_(config),
      source_embedding_(tensors.copy("encoder.embedding.weight", {config.source_vocab_size, config.embedding_size})),
      target_embedding_(tensors.copy("decoder.embedding.weight", {config.target_vocab_size, config.embedding_size})),
      start_(normed(config, tensors, "decoder.start", "decoder.start.bias", config.hidden_size, config.memory_size())),
      before_(tensors, "decoder.before", config.decoder_cell, 1, config.embedding_size, config.hidden_size),
      after_(tensors, "decoder.after", config.decoder_cell, config.decoder_base_depth - 1, config.memory_size(),
             config.hidden_size),
      high_(stack(tensors, "decoder.high", config.decoder_cell, config.decoder_num_layers - 1,
                  config.decoder_high_depth, config.hidden_size, config.hidden_size)),
      keys_(normed(config, tensors, "attention.key", "attention.bias", config.memory_size(), config.memory_size())),
      query_(normed(config, tensors, "attention.query", "", config.memory_size(), config.hidden_size)),
      score_(tensors.copy("attention.score.weight", {1, config.memory_size()})),
      hidden_(config, tensors),
      output_(tensors.linear("output", config.target_vocab_size, config.embedding_size)) {
  const int64_t hidden = config.hidden_size, depth = config.encoder_depth;
  const int64_t both = config.has_top() ? 1 : config.encoder_num_layers;
  forward_ = stack(tensors, "encoder.forward", config.encoder_cell, both, depth, config.embedding_size, hidden);
  backward_ = stack(tensors, "encoder.backward", config.encoder_cell, both, depth, config.embedding_size, hidden);
  top_ =
      stack(tensors, "encoder.top", config.encoder_cell, config.encoder_num_layers - both, depth, 2 * hidden, hidden);
}

void DeepRecurrentSeq2Seq::run_stack(const std::vector<TransitionLayer>& layers, const std::vector<bool>& reverse,
                                     const float* input, const RaggedOrder& order, int64_t tokens, float* output,
                                     int64_t output_stride) const {
  const int64_t size = config_.hidden_size;
  Buffer<float> inner[2];  // outputs of the layers, taken in turn
  for (std::size_t i = 0; i < layers.size(); ++i) {
    inner[i % 2].reserve_discard(tokens * size);
    float* to = inner[i % 2].data();
    layers[i].forward(input, order, tokens, reverse[i], to, size);
    if (config_.skip && i > 0) kernels().add(to, input, tokens * size, to);
    input = to;
  }
  for (int64_t i = 0; i < tokens; ++i) std::memcpy(output + i * output_stride, input + i * size, bytes(size));
}

void DeepRecurrentSeq2Seq::encode(const Ragged& source, float* memory) const {
  const int64_t width = config_.embedding_size, hidden = config_.hidden_size, tokens = source.tokens();
  if (tokens == 0) return;
  Buffer<float> embedded(tokens * width);
  for (int64_t i = 0; i < tokens; ++i) {
    std::memcpy(embedded.data() + i * width, source_embedding_.data() + source.ids[i] * width, bytes(width));
  }
  const RaggedOrder order(source.offsets, source.batch_size);
  const bool alternating = config_.encoder_type == DeepEncoder::kAlternating;
  std::vector<bool> first, second;
  for (std::size_t i = 0; i < forward_.size(); ++i) {
    first.push_back(alternating && i % 2 == 1);
    second.push_back(!first.back());
  }
  Buffer<float> joined(top_.empty() ? 0 : tokens * 2 * hidden);
  float* both = top_.empty() ? memory : joined.data();
  run_stack(forward_, first, embedded.data(), order, tokens, both, 2 * hidden);
  run_stack(backward_, second, embedded.data(), order, tokens, both + hidden, 2 * hidden);
  if (top_.empty()) return;
  run_stack(top_, std::vector<bool>(top_.size(), false), both, order, tokens, memory, hidden);
}

std::unique_ptr<Decoder> DeepRecurrentSeq2Seq::start(const Ragged& source) const {
  const int64_t size = memory_size(), batch = source.batch_size;
  Buffer<float> memory(source.tokens() * size);
  encode(source, memory.data());
  auto means = Buffer<float>::zeros(batch * size);  // of the memory of each sentence; 0 of an empty one
  for (int64_t b = 0; b < batch; ++b) {
    float* mean = means.data() + b * size;
    for (int64_t i = source.offsets[b]; i < source.offsets[b + 1]; ++i) {
      kernels().add(mean, memory.data() + i * size, size, mean);
    }
    for (int64_t j = 0; source.length(b) > 0 && j < size; ++j) mean[j] /= static_cast<float>(source.length(b));
  }
  Buffer<float> state(batch * config_.hidden_size);
  start_.forward(means.data(), batch, state.data());
  kernels().tanh(state.data(), state.size(), state.data());
  return std::make_unique<DeepRecurrentDecoder>(*this, source, std::move(memory), state);
}

}  // namespace fastseq
