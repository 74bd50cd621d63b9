#include "models/transformer_classifier.h"

#include <cstring>

namespace fastseq {

TransformerClassifier::TransformerClassifier(const TransformerClassifierConfig& config, const TensorMap& tensors)
    : config_(config),
      target_embedding_(own_embedding(tensors, "decoder", config.decoder)),
      decoder_(config.decoder, tensors, "decoder", target_embedding_),
      encoder_(config.encoder, tensors, "encoder",
               config.shared_embedding ? target_embedding_ : own_embedding(tensors, "encoder", config.encoder)),
      head_(tensors, config.decoder, config.head) {}

void TransformerClassifier::logits(const Ragged& source, const int32_t* decoder_ids,
                                   std::optional<std::span<const int64_t>> places, float* logits) const {
  const int64_t size = config_.decoder.hidden_size, tokens = source.tokens();
  const int64_t rows = places ? static_cast<int64_t>(places->size()) : tokens;
  Buffer<float> memory(tokens * size), hidden(tokens * size);
  encoder_.encode(source, nullptr, memory.data());
  decoder_.decode({decoder_ids, source.offsets, source.batch_size}, memory.data(), hidden.data());
  float* x = hidden.data();
  for (int64_t r = 0; places && r < rows; ++r) {  // to the front: r <= places[r]
    const int64_t place = (*places)[static_cast<std::size_t>(r)];
    std::memmove(x + r * size, x + place * size, static_cast<std::size_t>(size) * sizeof(float));
  }
  head_.forward(x, rows, logits);
}

}  // namespace fastseq
