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

/// sum + e^(x - shift) for shift >= x, each term within 3e-7 of itself and rounded into the sum once: for sums only.
/// e^y = 2^n p(r) with y log2(e) = n + r, |r| <= 1/2 and p of degree 5 fitted by least squares of high power (error
/// 1e-7). Adding 1.5 * 2^23 + 127 leaves n + 127, the exponent of 2^n, in the low bits. Beyond 2^-126, -inf too, terms
/// are 2^-126: nothing beside the term 1 of the largest element. The error of y log2(e), |y| 2^-24, weighs most
/// where e^y is small.
inline F32 add_exp(F32 x, F32 shift, F32 sum) {
  const F32 magic = broadcast(12582912.0f + 127.0f);
  const F32 t = max(broadcast(-126.0f), (x - shift) * broadcast(1.44269504f));  // in this order NaN stays NaN
  const F32 biased = t + magic;
  const F32 r = t - (biased - magic);
  F32 p = broadcast(0.00132647203f);
  p = fma(p, r, broadcast(0.00967151299f));
  p = fma(p, r, broadcast(0.0555073358f));
  p = fma(p, r, broadcast(0.240222424f));
  p = fma(p, r, broadcast(0.693147004f));
  p = fma(p, r, broadcast(1.0f));
  return fma(p, low_bits_to_exponent(biased), sum);
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
