#include "models/recurrent_seq2seq.h"

#include <cstring>

#include "models/recurrent_decoder.h"

namespace fastseq {

Recurrent load_recurrent(const TensorMap& tensors, const std::string& prefix, Cell cell, int64_t input_size,
                         int64_t hidden_size, int64_t num_layers, bool bidirectional) {
  const int64_t rows = gate_count(cell) * hidden_size;
  std::vector<RecurrentWeights> weights;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    const int64_t width = layer == 0 ? input_size : hidden_size * (bidirectional ? 2 : 1);
    for (const char* direction : {"", "_reverse"}) {
      if (*direction != '\0' && !bidirectional) continue;
      const std::string suffix = "_l" + std::to_string(layer) + direction;
      weights.push_back({tensors.weight(prefix + "weight_ih" + suffix, {rows, width}),
                         tensors.weight(prefix + "weight_hh" + suffix, {rows, hidden_size}),
                         tensors.get(prefix + "bias_ih" + suffix, {rows}),
                         tensors.get(prefix + "bias_hh" + suffix, {rows})});
    }
  }
  return Recurrent(cell, weights, input_size, hidden_size, bidirectional, false, tensors.compute_type());
}

RecurrentSeq2Seq::RecurrentSeq2Seq(const RecurrentSeq2SeqConfig& config, const TensorMap& tensors)
    : config_(config),
      kernels_(&kernels()),
      source_embedding_(
          tensors.copy("encoder.embedding.weight", {config.source_vocab_size, config.source_embedding_size})),
      target_embedding_(
          tensors.copy("decoder.embedding.weight", {config.target_vocab_size, config.target_embedding_size})),
      encoder_(load_recurrent(tensors, "encoder.rnn.", config.cell, config.source_embedding_size,
                              config.encoder_hidden_size, config.encoder_num_layers, config.encoder_bidirectional)),
      decoder_(load_recurrent(tensors, "decoder.rnn.", config.cell,
                              config.target_embedding_size + (config.input_feeding ? config.decoder_hidden_size : 0),
                              config.decoder_hidden_size, config.decoder_num_layers, false)),
      source_gates_(encoder_, source_embedding_.data(), config.source_vocab_size),
      target_gates_(config.input_feeding ? TokenGates()
                                         : TokenGates(decoder_, target_embedding_.data(), config.target_vocab_size)),
      output_(tensors.linear("output", config.target_vocab_size, config.decoder_hidden_size)) {
  const int64_t memory = config.memory_size(), hidden = config.decoder_hidden_size;
  const bool projected = config.bridge == Bridge::kDense || config.bridge == Bridge::kLinear;
  for (int64_t layer = 0; projected && layer < config.decoder_num_layers; ++layer) {
    bridge_h_.push_back(tensors.linear("bridge.h." + std::to_string(layer), hidden, memory));
    if (config.cell == Cell::kLstm) {
      bridge_c_.push_back(tensors.linear("bridge.c." + std::to_string(layer), hidden, memory));
    }
  }
  if (config.attention == AttentionKind::kGeneral) {
    keys_ = tensors.linear("attention", hidden, memory);
  } else if (config.attention == AttentionKind::kAdditive) {
    const int64_t size = config.attention_size;
    const ComputeType type = tensors.compute_type();
    keys_ = Linear(tensors.weight("attention.key.weight", {size, memory}), tensors.get("attention.bias", {size}), size,
                   memory, type);
    query_ = Linear(tensors.weight("attention.query.weight", {size, hidden}), nullptr, size, hidden, type);
    score_ = tensors.copy("attention.score.weight", {1, size});
  }
  if (attends()) combine_ = tensors.linear("attention.combine", hidden, memory + hidden);
}

void RecurrentSeq2Seq::run_encoder(const Ragged& source, float* memory, float* h_n, float* c_n) const {
  const int64_t size = config_.source_embedding_size;
  Buffer<float> embedded(source_gates_.empty() ? source.tokens() * size : 0);
  for (int64_t i = 0; source_gates_.empty() && i < source.tokens(); ++i) {
    std::memcpy(embedded.data() + i * size, source_embedding_.data() + source.ids[i] * size,
                static_cast<std::size_t>(size) * sizeof(float));
  }
  const RecurrentInput input =
      source_gates_.empty() ? RecurrentInput(embedded.data()) : RecurrentInput(source.ids, source_gates_);
  encoder_.forward(input, source.offsets, source.batch_size, nullptr, nullptr, memory, h_n, c_n);
}

void RecurrentSeq2Seq::encode(const Ragged& source, float* memory) const {
  const int64_t states = encoder_.num_layers() * encoder_.num_directions() * source.batch_size;
  Buffer<float> h_n(states * config_.encoder_hidden_size), c_n(states * config_.encoder_hidden_size);
  run_encoder(source, memory, h_n.data(), config_.cell == Cell::kLstm ? c_n.data() : nullptr);
}

Buffer<float> RecurrentSeq2Seq::bridge(const Buffer<float>& final_state, const std::vector<Linear>& dense,
                                       int64_t batch) const {
  const int64_t hidden = config_.decoder_hidden_size, part = config_.encoder_hidden_size;
  auto states = Buffer<float>::zeros(config_.decoder_num_layers * batch * hidden);
  if (config_.bridge == Bridge::kZero) return states;
  const int64_t directions = encoder_.num_directions(), joined_size = config_.memory_size();
  Buffer<float> joined(batch * joined_size);  // [forward; reverse] of one layer
  for (int64_t layer = 0; layer < config_.decoder_num_layers; ++layer) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t d = 0; d < directions; ++d) {
        std::memcpy(joined.data() + b * joined_size + d * part,
                    final_state.data() + ((layer * directions + d) * batch + b) * part,
                    static_cast<std::size_t>(part) * sizeof(float));
      }
    }
    float* to = states.data() + layer * batch * hidden;
    if (config_.bridge == Bridge::kCopy) {
      std::memcpy(to, joined.data(), static_cast<std::size_t>(batch * hidden) * sizeof(float));
    } else {
      const Activation activation = config_.bridge == Bridge::kDense ? Activation::kTanh : Activation::kNone;
      dense[static_cast<std::size_t>(layer)].forward(joined.data(), batch, to, activation);
    }
  }
  return states;
}

std::unique_ptr<Decoder> RecurrentSeq2Seq::start(const Ragged& source) const {
  const int64_t batch = source.batch_size;
  const int64_t states = encoder_.num_layers() * encoder_.num_directions() * batch * config_.encoder_hidden_size;
  const bool has_cell = config_.cell == Cell::kLstm;
  Buffer<float> memory(source.tokens() * memory_size()), h_n(states), c_n(has_cell ? states : 0);
  run_encoder(source, memory.data(), h_n.data(), has_cell ? c_n.data() : nullptr);
  Buffer<float> hidden = bridge(h_n, bridge_h_, batch);
  Buffer<float> cell = has_cell ? bridge(c_n, bridge_c_, batch) : Buffer<float>();
  return std::make_unique<RecurrentDecoder>(*this, source, std::move(memory), std::move(hidden), std::move(cell));
}

}  // namespace fastseq
