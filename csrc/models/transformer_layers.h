// The parts of Transformer layers: weights and what is computed with them, row by row.
#pragma once

#include <optional>
#include <string>

#include "layers/embedding.h"
#include "layers/relative_attention.h"
#include "models/tensors.h"
#include "models/transformer_config.h"

namespace fastseq {

/// Layer norm or RMS norm. Named tensors: `name`.weight and, for layer norm with bias, `name`.bias, (size).
struct Norm {
  Norm() = default;
  Norm(const TensorMap& tensors, const std::string& name, int64_t size, const TransformerStackConfig& config);
  /// output (rows, size); it may be the input.
  void forward(const float* input, int64_t rows, float* output) const;

  Buffer<float> weight, bias;  // no weight: nothing is done
  NormKind kind = NormKind::kLayer;
  float eps = 0;
};

/// Named as torch.nn.MultiheadAttention's, with inner = num_heads * head_size in place of the hidden size.
struct SelfAttentionWeights {
  SelfAttentionWeights(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config);
  Linear query_key_value;      // (3 * inner, hidden)
  Linear output;               // (hidden, inner)
  RelativeAttention relative;  // "relative_keys.weight", "relative_queries.weight": (heads * vectors, head_size)
};

struct CrossAttentionWeights {
  CrossAttentionWeights(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config);
  Linear query;      // (inner, hidden)
  Linear key_value;  // (2 * inner, hidden): keys, then values
  Linear output;     // (hidden, inner)
};

/// The simpler simple recurrent unit (Kim et al., 2019). Named tensors: `name`.weight (2 * hidden, hidden): W, then
/// that of the forget gate; `name`.bias (2 * hidden).
struct SsruWeights {
  SsruWeights(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config)
      : gates(tensors.linear(name, 2 * config.hidden_size, config.hidden_size)) {}
  /// One step: output (rows, hidden), cell (rows, hidden) updated in place; scratch (rows, 2 * hidden).
  void step(const float* input, int64_t rows, float* scratch, float* cell, float* output) const;

  Linear gates;
};

struct FeedForward {
  FeedForward(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config);
  /// output (rows, hidden) from input (rows, hidden); scratch (scratch_size(rows)).
  void forward(const float* input, int64_t rows, float* scratch, float* output) const;
  int64_t scratch_size(int64_t rows) const { return rows * in.out_features() * (gated ? 2 : 1); }

  Activation activation;
  bool gated;
  Linear gate, in, out;
};

struct TransformerLayer {
  TransformerLayer(const TensorMap& tensors, const std::string& name, bool first, const TransformerStackConfig& config);
  std::optional<SelfAttentionWeights> self_attention;
  std::optional<SsruWeights> ssru;  // one of the two
  std::optional<CrossAttentionWeights> cross_attention;
  FeedForward feed_forward;
  Norm self_norm, cross_norm, feed_forward_norm;  // norm1, norm2, norm3, or without cross-attention norm1 and norm2
};

/// Token embeddings, positions and token types, summed, normed and projected.
class InputEmbedding {
 public:
  InputEmbedding(const TensorMap& tensors, const std::string& part, std::shared_ptr<const Embedding> tokens,
                 const TransformerStackConfig& config);

  struct Token {
    int32_t id;
    int32_t type;
    int64_t position;
  };
  /// output (rows, hidden); `token_of(row)` says what a row reads.
  template <typename TokenOf>
  void forward(int64_t rows, const TokenOf& token_of, float* output) const {
    Buffer<float> wide(config_.embedding_size > 0 ? rows * config_.embedding_size : 0);
    float* sum = config_.embedding_size > 0 ? wide.data() : output;
    for (int64_t r = 0; r < rows; ++r) lookup(token_of(r), sum + r * config_.table_width());
    finish(sum, rows, output);
  }

 private:
  void lookup(const Token& token, float* output) const;
  void finish(float* sum, int64_t rows, float* output) const;

  TransformerStackConfig config_;
  std::shared_ptr<const Embedding> tokens_;
  Buffer<float> positions_;    // (position_offset + max_positions, width)
  Buffer<float> token_types_;  // (token_types, width)
  Norm norm_;
  Linear projection_;  // (hidden, width)
};

/// Logits of the last layer's output.
struct OutputLayer {
  OutputLayer(const TensorMap& tensors, const TransformerStackConfig& config, const OutputConfig& output);
  /// logits (rows, vocab_size) from x (rows, hidden), which is scaled in place.
  void forward(float* x, int64_t rows, float* logits) const;

  OutputConfig config;
  Linear linear;  // "output.weight" or the embedding (vocab_size, hidden), and "output.bias" if it is there
  Linear dense;   // (hidden, hidden)
  Norm norm;      // behind it
};

/// Labels of the last layer's output. Named tensors: "head.dense", "head.norm", "head.output".
struct LabelHead {
  LabelHead(const TensorMap& tensors, const TransformerStackConfig& stack, const HeadConfig& head);
  /// logits (rows, labels) from x (rows, hidden), which may change.
  void forward(float* x, int64_t rows, float* logits) const;

  HeadConfig config;
  Linear dense, output;  // (hidden, hidden), (labels, hidden)
  Norm norm;             // between them
};

/// Embeddings of `part` with rows of their own.
std::shared_ptr<const Embedding> own_embedding(const TensorMap& tensors, const std::string& part,
                                               const TransformerStackConfig& config);

/// output[i] = a[i] + b[i] for rows * size numbers, by all threads where that is worth it.
void add_rows(const float* a, const float* b, int64_t rows, int64_t size, float* output);

}  // namespace fastseq
