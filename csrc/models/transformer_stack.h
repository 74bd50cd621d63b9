// A stack of Transformer layers (Vaswani et al., 2017) that reads whole sequences: every encoder, and the prompts of
// a decoder that stands alone. TransformerDecoder runs the same layers step by step.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/rotary.h"
#include "models/seq2seq.h"
#include "models/token_convolution.h"
#include "models/transformer_layers.h"

namespace fastseq {

class TransformerStack {
 public:
  /// `part` is the first word of the tensors' names.
  TransformerStack(const TransformerStackConfig& config, const TensorMap& tensors, const std::string& part,
                   std::shared_ptr<const Embedding> tokens);

  const TransformerStackConfig& config() const { return config_; }
  const InputEmbedding& embedding() const { return embedding_; }
  int64_t num_layers() const { return static_cast<int64_t>(config_.layers.size()); }
  const TransformerLayer& layer(int64_t i) const {
    return layers_[static_cast<std::size_t>(config_.layers[static_cast<std::size_t>(i)])];
  }

  /// Where the keys and values (tokens, 2 * inner) of layer i go.
  using KeyValueOf = std::function<float*(int64_t layer)>;

  /// output (tokens, hidden): every token sees all of its sequence. token_types (tokens) or null for 0.
  void encode(const Ragged& source, const int32_t* token_types, float* output) const;

  /// output (tokens, hidden) of a decoder that knows all it reads: a token sees itself, those before it, and of
  /// memory (tokens, hidden), the encoder's output for as many tokens of each sequence, all of its sequence.
  void decode(const Ragged& target, const float* memory, float* output) const;

  /// What `encode` gives where a token sees itself and those before it; keeps the keys and values if `key_value_of` is
  /// given.
  void read_prompts(const Ragged& prompts, const KeyValueOf& key_value_of, float* output) const;

  /// x := x + block(norm(x)), or norm(x + block(x)); `block(input, output)`, scratch (rows, hidden) two times. A norm
  /// without weight is none.
  template <typename Block>
  void residual(const Norm& norm, int64_t rows, float* x, float* scratch, const Block& block) const;

  /// biases (heads, last - first + 1): of the scores of layer i for the distances key - query from first <= 0 to
  /// last >= 0. Left as they are where they are those of the layer before.
  void relative_biases(int64_t i, int64_t first, int64_t last, Buffer<float>& biases) const;

  void final_norm(int64_t rows, float* x) const {
    if (config_.final_norm) norm_.forward(x, rows, x);
  }

 private:
  struct Scratch;
  template <typename Attend>
  void for_each_head(const Ragged& source, int64_t seen, int64_t more, Scratch& scratch, const Attend& attend) const;
  void cross_attention(const CrossAttentionWeights& weights, const Ragged& source, const float* memory,
                       const float* input, Scratch& scratch, float* output) const;
  void run(const Ragged& source, const int32_t* token_types, bool causal, const KeyValueOf& key_value_of,
           const float* memory, float* x) const;
  void self_attention(int64_t i, const Ragged& source, bool causal, float* key_value, const float* input,
                      Scratch& scratch, float* output) const;

  TransformerStackConfig config_;
  InputEmbedding embedding_;
  std::vector<TransformerLayer> layers_;
  std::optional<TokenConvolution> convolution_;
  Norm norm_;
  // For all layers, or for each: (heads, 2 * relative_positions + 1), by key - query, from -M to M.
  std::vector<Buffer<float>> relative_;
  std::map<float, Rotary> rotary_;  // by their base
};

template <typename Block>
void TransformerStack::residual(const Norm& norm, int64_t rows, float* x, float* scratch, const Block& block) const {
  const int64_t size = config_.hidden_size;
  float *normed = scratch, *result = scratch + rows * size;
  if (config_.norm_first) {
    const bool has_norm = norm.weight.size() > 0;
    if (has_norm) norm.forward(x, rows, normed);
    block(static_cast<const float*>(has_norm ? normed : x), result);
    add_rows(x, result, rows, size, x);
  } else {
    block(static_cast<const float*>(x), result);
    add_rows(x, result, rows, size, x);
    norm.forward(x, rows, x);
  }
}

}  // namespace fastseq
