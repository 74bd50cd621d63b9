// Transformers as data: one description covers every family.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/args.h"

namespace fastseq {

enum class NormKind { kLayer, kRms };
enum class Positions { kNone, kTable, kSinusoidal };
enum class Pooling { kNone, kFirst, kMean };

/// An encoder, a decoder, or a decoder that stands alone.
struct TransformerStackConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t embedding_size = 0;   // width of the embeddings; 0: hidden_size, and no projection to it
  std::vector<int64_t> layers;  // which weights each layer uses: 0, 1, 2, ... unless layers share them
  int64_t num_heads = 0, head_size = 0;
  int64_t intermediate_size = 0;
  Activation activation = Activation::kRelu;
  bool gated = false;  // feed-forward: activation(gate(x)) * in(x) in place of activation(in(x))
  NormKind norm = NormKind::kLayer;
  float norm_eps = 1e-5f;
  bool norm_bias = true;        // of layer norms
  bool norm_first = true;       // x + part(norm(x)), else norm(x + part(x))
  bool first_norm = true;       // whether layer 0 has a norm at its self-attention
  bool final_norm = true;       // after the last layer
  bool embedding_norm = false;  // after the sum of the embeddings
  float embedding_scale = 1.0f;
  Positions positions = Positions::kSinusoidal;
  int64_t max_positions = 0;       // of a table
  int64_t position_offset = 0;     // position 0 is this row of the table
  int64_t token_types = 0;         // 0 for none
  int64_t relative_positions = 0;  // M: a bias of the scores for distances of -M to M, beyond them as at the ends
  bool relative_layers = false;    // whether each layer has its own
  // Which of some vectors a distance from -M to M has, beyond them as at the ends; the scores get the products of
  // queries with such keys, and of keys with such queries.
  std::vector<int64_t> relative_rows;
  bool relative_keys = false, relative_queries = false;
  std::vector<float> rotary;     // base of the rotary positions of each layer, or empty for none
  std::vector<int64_t> windows;  // of each layer: a token sees those at distances below this, 0 all; empty: all
  float attention_scale = 1.0f;
  bool cross_attention = false;
  int64_t convolution = 0;  // tokens that a convolution beside the first layer sees; 0 for none
  Activation convolution_activation = Activation::kNone;
  bool ssru = false;  // decoders: in place of self-attention a recurrent unit, c' = f c + (1 - f) W x, max(c', 0)

  int64_t inner_size() const { return num_heads * head_size; }
  int64_t relative_vectors() const { return relative_rows.empty() ? 0 : relative_rows.back() + 1; }
  int64_t table_width() const { return embedding_size > 0 ? embedding_size : hidden_size; }
};

/// What makes logits of the last layer's output: [dense, activation, norm and] a layer of vocab_size outputs.
struct OutputConfig {
  bool tied = true;    // the layer's weight is the decoder's embedding
  float scale = 1.0f;  // of what the layer reads
  bool dense = false;
  Activation activation = Activation::kNone;
};

struct TransformerSeq2SeqConfig {
  TransformerStackConfig encoder, decoder;
  OutputConfig output;
  bool shared_embedding = false;   // the encoder reads the decoder's
  bool memory_projection = false;  // a dense layer from the encoder's output to what the decoder attends to
};

struct TransformerDecoderConfig {
  TransformerStackConfig decoder;
  OutputConfig output;
};

/// [dense, activation, [norm] and] a layer of `labels` outputs.
struct HeadConfig {
  int64_t labels = 0;  // 0: no head
  bool dense = false, norm = false;
  Activation activation = Activation::kNone;
};

/// An encoder, and a head for all tokens, the first or their mean.
struct TransformerEncoderConfig {
  TransformerStackConfig encoder;
  Pooling pooling = Pooling::kNone;
  HeadConfig head;
};

}  // namespace fastseq
