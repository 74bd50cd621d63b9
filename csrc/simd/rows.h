// Reductions of a row in sixteen virtual lanes: the same sums on every instruction set.
#pragma once

#include "simd/math.h"

namespace fastseq {
namespace {

/// The first `count` elements (at most 16) from `from`; the rest are `fill`.
inline V16 load16_row(const float* from, int64_t count, float fill) {
  return count >= kVirtualLanes ? load16(from) : load16_partial(from, count, fill);
}
inline void store16_row(float* to, V16 v, int64_t count) {
  if (count >= kVirtualLanes) {
    store16(to, v);
  } else {
    store16_partial(to, v, count);
  }
}

/// Largest element; NaN is passed over; -inf for none.
inline float row_max(const float* row, int64_t size) {
  V16 largest = broadcast16(-kInfinity);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, -kInfinity);
    for (int p = 0; p < kParts; ++p) largest.part[p] = max(x.part[p], largest.part[p]);
  }
  return reduce_max(largest);
}

/// Sum of e^(x - shift); `output` gets the terms (it may be the row itself).
inline float row_sum_exp(const float* row, int64_t size, float shift, float* output) {
  const F32 s = broadcast(shift);
  V16 sum = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    V16 x = load16_row(row + i, size - i, -kInfinity);
    for (int p = 0; p < kParts; ++p) {
      x.part[p] = exp_nonpositive(x.part[p] - s);
      sum.part[p] = sum.part[p] + x.part[p];
    }
    store16_row(output + i, x, size - i);
  }
  return reduce_add(sum);
}

/// sum + e^(x - shift) for shift >= x, rounded once.
inline F32 add_exp(F32 x, F32 shift, F32 sum) {
  const ExpParts e = exp_parts_nonpositive(x - shift);
  return fma(e.fraction, e.scale, sum);
}

/// log(sum e^(x - shift)) where shift is the largest element.
inline float row_log_sum(const float* row, int64_t size, float shift) {
  const F32 s = broadcast(shift);
  V16 sum = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, -kInfinity);
    for (int p = 0; p < kParts; ++p) sum.part[p] = add_exp(x.part[p], s, sum.part[p]);
  }
  return log1(reduce_add(sum));
}

/// a . b
inline float row_dot(const float* a, const float* b, int64_t size) {
  V16 sum = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(a + i, size - i, 0.0f), y = load16_row(b + i, size - i, 0.0f);
    for (int p = 0; p < kParts; ++p) sum.part[p] = fma(x.part[p], y.part[p], sum.part[p]);
  }
  return reduce_add(sum);
}

}  // namespace
}  // namespace fastseq
