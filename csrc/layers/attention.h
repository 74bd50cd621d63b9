// Attention over batches: heads and blocks of queries spread over threads.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace fastseq {

/// A mask or an addend of the scores, (B, Hq, L, S), strides in elements, 0 where it is broadcast.
struct AttentionMask {
  const uint8_t* keep = nullptr;  // true = attend; at most one of the two
  const float* add = nullptr;
  int64_t batch_stride = 0, head_stride = 0, query_stride = 0, key_stride = 0;
};

struct AttentionShape {
  int64_t batch_size = 0;
  int64_t query_heads = 0, key_heads = 0;  // query head h uses key head h / (query_heads / key_heads)
  int64_t queries = 0, keys = 0;
  int64_t head_size = 0, value_size = 0;
};

/// output (B, Hq, L, Dv) from query (B, Hq, L, D), key (B, Hk, S, D), value (B, Hk, S, Dv), all without gaps.
void scaled_dot_product_attention(const AttentionShape& shape, const float* query, const float* key, const float* value,
                                  const AttentionMask& mask, bool is_causal, float scale, float* output);

/// How a recurrent decoder scores its memory: `weight_score . tanh(query + key)` with weight_score (size), or
/// `query . key` where it is null.
///   query (B, Q, size), key (B, S, size), value (B, S, Dv), lengths (B) or null for S;
///   context (B, Q, Dv), weights (B, Q, S): zero beyond a length.
void score_attention(int64_t batch_size, int64_t queries, int64_t keys, int64_t size, int64_t value_size,
                     const float* query, const float* key, const float* value, const float* weight_score,
                     const int64_t* lengths, float* context, float* weights);

}  // namespace fastseq
