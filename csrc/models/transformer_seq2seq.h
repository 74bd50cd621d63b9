// Whole Transformer models: encoder-decoder, decoder alone, encoder alone.
#pragma once

#include <memory>
#include <optional>

#include "models/transformer_stack.h"

namespace fastseq {

class TransformerSeq2Seq final : public Seq2Seq {
 public:
  TransformerSeq2Seq(const TransformerSeq2SeqConfig& config, const TensorMap& tensors);

  int64_t source_vocab_size() const override { return encoder_.config().vocab_size; }
  int64_t target_vocab_size() const override { return decoder_.config().vocab_size; }
  int64_t memory_size() const override { return encoder_.config().hidden_size; }
  bool attends() const override { return decoder_.num_layers() > 0; }
  int64_t max_positions() const override { return decoder_.config().max_positions; }
  int64_t max_source_positions() const override { return encoder_.config().max_positions; }

  void encode(const Ragged& source, float* memory) const override { encoder_.encode(source, nullptr, memory); }
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

 private:
  OutputLayer output_;
  std::shared_ptr<const Embedding> target_embedding_;
  TransformerStack decoder_, encoder_;
  std::optional<Linear> memory_projection_;  // (hidden of the decoder, hidden of the encoder)
};

/// A decoder alone: a "source" is a prompt, of at least one token, and what is generated continues it.
class TransformerLanguageModel final : public Seq2Seq {
 public:
  TransformerLanguageModel(const TransformerDecoderConfig& config, const TensorMap& tensors);

  int64_t source_vocab_size() const override { return stack_.config().vocab_size; }
  int64_t target_vocab_size() const override { return stack_.config().vocab_size; }
  int64_t memory_size() const override { return stack_.config().hidden_size; }
  bool attends() const override { return false; }
  int64_t max_positions() const override { return stack_.config().max_positions; }

  void encode(const Ragged& source, float* memory) const override { stack_.read_prompts(source, {}, memory); }
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

  /// logits (N, vocab_size) after each token.
  void logits(const Ragged& source, float* logits) const;

 private:
  OutputLayer output_;
  TransformerStack stack_;
};

/// An encoder with a head for whole sequences or single tokens.
class TransformerEncoder : public RecordedModel {
 public:
  TransformerEncoder(const TransformerEncoderConfig& config, const TensorMap& tensors);

  const TransformerEncoderConfig& config() const { return config_; }
  void encode(const Ragged& source, const int32_t* token_types, float* output) const {
    encoder_.encode(source, token_types, output);
  }
  /// logits (B, labels) of the sequences, none of them empty, or (N, labels) of the tokens.
  void logits(const Ragged& source, const int32_t* token_types, float* logits) const;

 private:
  TransformerEncoderConfig config_;
  TransformerStack encoder_;
  LabelHead head_;
};

}  // namespace fastseq
