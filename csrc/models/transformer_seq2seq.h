// Encoder-decoder Transformer (Vaswani et al., 2017), norms before or after each block.
#pragma once

#include <memory>
#include <vector>

#include "models/seq2seq.h"
#include "models/tensors.h"

namespace fastseq {

struct TransformerSeq2SeqConfig {
  int64_t source_vocab_size = 0, target_vocab_size = 0;
  int64_t hidden_size = 0, num_heads = 0, intermediate_size = 0;
  int64_t encoder_num_layers = 0, decoder_num_layers = 0;
  Activation activation = Activation::kRelu;
  bool norm_first = true;
  bool learned_positions = false;
  int64_t max_positions = 0;  // of learned positions
  bool scale_embedding = true;
  bool tie_output = true;
  float layer_norm_eps = 1e-5f;
};

struct LayerNorm {
  LayerNorm() = default;
  LayerNorm(const TensorMap& tensors, const std::string& name, int64_t size, float eps);
  void forward(const KernelTable& kernels, const float* input, int64_t rows, float* output) const;

  Buffer<float> weight, bias;  // (size)
  float eps = 0;
};

/// Projections of multi-head attention, named as torch.nn.MultiheadAttention's.
struct AttentionWeights {
  AttentionWeights(const TensorMap& tensors, const std::string& name, int64_t hidden_size);

  Linear query;      // (hidden, hidden)
  Linear key_value;  // (2 * hidden, hidden): keys, then values
  Linear output;     // (hidden, hidden)
};

struct FeedForward {
  FeedForward(const TensorMap& tensors, const std::string& name, int64_t hidden_size, int64_t intermediate_size);
  Linear in, out;
};

struct EncoderLayer {
  AttentionWeights self_attention;
  FeedForward feed_forward;
  LayerNorm norm1, norm2;
};

struct DecoderLayer {
  AttentionWeights self_attention, cross_attention;
  FeedForward feed_forward;
  LayerNorm norm1, norm2, norm3;
};

/// Token embeddings plus positions.
class TokenEmbedding {
 public:
  TokenEmbedding(const TensorMap& tensors, const std::string& part, int64_t vocab_size,
                 const TransformerSeq2SeqConfig& config);
  /// output (hidden) = embedding of `id` [* sqrt(hidden)] + position.
  void lookup(int32_t id, int64_t position, float* output) const;

 private:
  Buffer<float> weight_;     // (vocab_size, hidden)
  Buffer<float> positions_;  // (table_size_, hidden)
  int64_t hidden_size_, table_size_;
  bool learned_;
  float scale_;
};

class TransformerSeq2Seq final : public Seq2Seq {
 public:
  TransformerSeq2Seq(const TransformerSeq2SeqConfig& config, const TensorMap& tensors);

  int64_t source_vocab_size() const override { return config_.source_vocab_size; }
  int64_t target_vocab_size() const override { return config_.target_vocab_size; }
  int64_t memory_size() const override { return config_.hidden_size; }
  bool attends() const override { return config_.decoder_num_layers > 0; }
  int64_t max_positions() const override { return config_.learned_positions ? config_.max_positions : 0; }

  void encode(const Ragged& source, float* memory) const override;
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

 private:
  friend class TransformerDecoder;

  void self_attention(const EncoderLayer& layer, const Ragged& source, const float* input, float* output) const;
  /// x += block(norm(x)) before, or x = norm(x + block(x)) after; `block(input, output)`.
  template <typename Block>
  void residual(const LayerNorm& norm, int64_t rows, float* x, const Block& block) const;
  void feed_forward(const FeedForward& layer, const float* input, int64_t rows, float* output) const;

  TransformerSeq2SeqConfig config_;
  const KernelTable* kernels_;
  TokenEmbedding source_embedding_, target_embedding_;
  std::vector<EncoderLayer> encoder_layers_;
  std::vector<DecoderLayer> decoder_layers_;
  LayerNorm encoder_norm_, decoder_norm_;  // norm_first only
  Linear output_;
};

template <typename Block>
void TransformerSeq2Seq::residual(const LayerNorm& norm, int64_t rows, float* x, const Block& block) const {
  const int64_t size = rows * config_.hidden_size;
  Buffer<float> result(size);
  if (config_.norm_first) {
    Buffer<float> normed(size);
    norm.forward(*kernels_, x, rows, normed.data());
    block(normed.data(), result.data());
    kernels_->add(x, result.data(), size, x);
  } else {
    block(x, result.data());
    kernels_->add(x, result.data(), size, x);
    norm.forward(*kernels_, x, rows, x);
  }
}

}  // namespace fastseq
