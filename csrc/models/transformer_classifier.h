// An encoder-decoder that labels what it reads (Lewis et al., 2020, section 3).
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "models/transformer_stack.h"

namespace fastseq {

/// Encoder and decoder read the same tokens, the decoder's one place later; a head on the decoder's last layer.
struct TransformerClassifierConfig {
  TransformerStackConfig encoder, decoder;
  bool shared_embedding = false;  // the encoder reads the decoder's
  HeadConfig head;
};

class TransformerClassifier : public RecordedModel {
 public:
  TransformerClassifier(const TransformerClassifierConfig& config, const TensorMap& tensors);

  const TransformerClassifierConfig& config() const { return config_; }

  /// What the decoder reads are decoder_ids (N), as many of each sequence as the source (N) has. logits (R, labels)
  /// after those at `places` (R), which rise, or (N, labels) after each.
  void logits(const Ragged& source, const int32_t* decoder_ids, std::optional<std::span<const int64_t>> places,
              float* logits) const;

 private:
  TransformerClassifierConfig config_;
  std::shared_ptr<const Embedding> target_embedding_;
  TransformerStack decoder_, encoder_;
  LabelHead head_;
};

}  // namespace fastseq
