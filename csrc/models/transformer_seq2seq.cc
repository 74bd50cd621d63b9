#include "models/transformer_seq2seq.h"

#include <cstring>

#include "models/transformer_decoder.h"

namespace fastseq {
namespace {

std::shared_ptr<const Embedding> decoder_embedding(const TensorMap& tensors, const TransformerStackConfig& config,
                                                   const OutputLayer& output) {
  return output.config.tied ? std::make_shared<const Embedding>(output.linear)
                            : own_embedding(tensors, "decoder", config);
}

/// output (size): the first or the mean of x (count, size), at or behind it.
void pool(Pooling pooling, const float* x, int64_t count, int64_t size, float* output) {
  std::memmove(output, x, static_cast<std::size_t>(size) * sizeof(float));
  if (pooling == Pooling::kFirst) return;
  for (int64_t t = 1; t < count; ++t) kernels().add(output, x + t * size, size, output);
  for (int64_t i = 0; i < size; ++i) output[i] /= static_cast<float>(count);
}

}  // namespace

// The output layer comes first: its weight is the largest by far, and while it is packed it is there twice.
TransformerSeq2Seq::TransformerSeq2Seq(const TransformerSeq2SeqConfig& config, const TensorMap& tensors)
    : output_(tensors, config.decoder, config.output),
      target_embedding_(decoder_embedding(tensors, config.decoder, output_)),
      decoder_(config.decoder, tensors, "decoder", target_embedding_),
      encoder_(config.encoder, tensors, "encoder",
               config.shared_embedding ? target_embedding_ : own_embedding(tensors, "encoder", config.encoder)) {
  if (config.memory_projection) {
    memory_projection_ = tensors.linear("memory_projection", config.decoder.hidden_size, config.encoder.hidden_size);
  }
}

std::unique_ptr<Decoder> TransformerSeq2Seq::start(const Ragged& source) const {
  Buffer<float> memory(source.tokens() * memory_size());
  encode(source, memory.data());
  if (memory_projection_) {
    Buffer<float> projected(source.tokens() * memory_projection_->out_features());
    memory_projection_->forward(memory.data(), source.tokens(), projected.data());
    memory = std::move(projected);
  }
  return std::make_unique<TransformerDecoder>(decoder_, output_, source, memory.data());
}

TransformerLanguageModel::TransformerLanguageModel(const TransformerDecoderConfig& config, const TensorMap& tensors)
    : output_(tensors, config.decoder, config.output),
      stack_(config.decoder, tensors, "decoder", decoder_embedding(tensors, config.decoder, output_)) {}

std::unique_ptr<Decoder> TransformerLanguageModel::start(const Ragged& source) const {
  return std::make_unique<TransformerDecoder>(stack_, output_, source);
}

void TransformerLanguageModel::logits(const Ragged& source, float* logits) const {
  Buffer<float> hidden(source.tokens() * memory_size());
  encode(source, hidden.data());
  output_.forward(hidden.data(), source.tokens(), logits);
}

TransformerEncoder::TransformerEncoder(const TransformerEncoderConfig& config, const TensorMap& tensors)
    : config_(config),
      encoder_(config.encoder, tensors, "encoder", own_embedding(tensors, "encoder", config.encoder)),
      head_(tensors, config.encoder, config.head) {}

void TransformerEncoder::logits(const Ragged& source, const int32_t* token_types, float* logits) const {
  const int64_t size = config_.encoder.hidden_size, tokens = source.tokens();
  const bool pooled = config_.pooling != Pooling::kNone;
  const int64_t rows = pooled ? source.batch_size : tokens;
  Buffer<float> hidden(tokens * size);
  encode(source, token_types, hidden.data());
  float* x = hidden.data();
  for (int64_t b = 0; pooled && b < source.batch_size; ++b) {  // to the front: b <= offsets[b]
    pool(config_.pooling, x + source.offsets[b] * size, source.length(b), size, x + b * size);
  }
  head_.forward(x, rows, logits);
}

}  // namespace fastseq
