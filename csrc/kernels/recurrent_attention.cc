// The pieces of a recurrent decoder's attention: scores of all keys for one query, and the context.
#include "kernels/register.h"
#include "kernels/weighted_sum.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

/// scores[t] = query . key[t] (Luong et al., 2015)
void dot_scores(const float* query, const float* keys, int64_t key_stride, int64_t count, int64_t size, float* scores) {
  for (int64_t t = 0; t < count; ++t) scores[t] = row_dot(query, keys + t * key_stride, size);
}

/// scores[t] = weight . tanh(query + key[t]) (Bahdanau et al., 2015), both already projected.
void additive_scores(const float* query, const float* keys, int64_t key_stride, int64_t count, const float* weight,
                     int64_t size, float* scores) {
  for (int64_t t = 0; t < count; ++t) {
    const float* key = keys + t * key_stride;
    V16 sum = broadcast16(0.0f);
    for (int64_t i = 0; i < size; i += kVirtualLanes) {
      const V16 a = load16_row(query + i, size - i, 0.0f), b = load16_row(key + i, size - i, 0.0f);
      const V16 w = load16_row(weight + i, size - i, 0.0f);
      for (int p = 0; p < kParts; ++p) sum.part[p] = fma(tanh(a.part[p] + b.part[p]), w.part[p], sum.part[p]);
    }
    scores[t] = reduce_add(sum);
  }
}

/// output (size) = sum over t ascending of weights[t] * values[t].
void weighted_sum(const float* weights, const float* values, int64_t value_stride, int64_t count, int64_t size,
                  float* output) {
  weighted_rows(
      weights, count, size, [&](int64_t t) { return values + t * value_stride; }, output);
}

}  // namespace

FASTSEQ_REGISTER(recurrent_attention) {
  table.dot_scores = dot_scores;
  table.additive_scores = additive_scores;
  table.weighted_sum = weighted_sum;
}

}  // namespace fastseq
