// The other half of attention: sums of value rows.
#pragma once

#include "simd/simd.h"

namespace fastseq {
namespace {

/// output[column .. column + P * kLanes) = sum over t ascending of weights[t] * row_of(t)[the same columns].
template <int P, typename RowOf>
inline void weighted_columns(const float* weights, int64_t count, int64_t column, const RowOf& row_of, float* output) {
  F32 sum[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) sum[p] = broadcast(0.0f);
  for (int64_t t = 0; t < count; ++t) {
    const float* row = row_of(t) + column;
    const F32 weight = broadcast(weights[t]);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[p] = fma(weight, load(row + p * kLanes), sum[p]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) store(output + column + p * kLanes, sum[p]);
}

/// output (size) = sum over t ascending of weights[t] * row_of(t): one chain of fma for each element.
template <typename RowOf>
inline void weighted_rows(const float* weights, int64_t count, int64_t size, const RowOf& row_of, float* output) {
  int64_t column = 0;
  for (; column + 4 * kLanes <= size; column += 4 * kLanes) {
    weighted_columns<4>(weights, count, column, row_of, output);
  }
  for (; column + kLanes <= size; column += kLanes) weighted_columns<1>(weights, count, column, row_of, output);
  if (column == size) return;
  F32 sum = broadcast(0.0f);
  for (int64_t t = 0; t < count; ++t) {
    sum = fma(broadcast(weights[t]), load_partial(row_of(t) + column, size - column), sum);
  }
  store_partial(output + column, sum, size - column);
}

}  // namespace
}  // namespace fastseq
