// Elementary functions on vectors. Error bounds are measured against double in csrc/tests/test_math.cc.
#pragma once

#include <limits>

#include "simd/simd.h"

namespace fastseq {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// e^x within 2 ulp. exp(-inf) and everything below -86.98 is 0 (no subnormal results), above 88.72 is inf,
/// NaN stays NaN. e^x = e^r 2^n with whole n: x = n ln 2 + r, |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r), q of
/// degree 4 fitted at Chebyshev nodes (error 8e-9).
inline F32 exp(F32 x) {
  const F32 n = round(x * broadcast(1.44269504f));
  // ln 2 in two parts: n * 0.693359375 is exact.
  F32 r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  F32 q = broadcast(0.0013926927f);
  q = fma(q, r, broadcast(0.008363774f));
  q = fma(q, r, broadcast(0.04166655f));
  q = fma(q, r, broadcast(0.16666573f));
  q = fma(q, r, broadcast(0.5f));
  const F32 e = fma(r * r, q, r) + broadcast(1.0f);
  // 2 * 2^(n-1): n may be 128, beyond what one scale factor can hold.
  F32 result = (e + e) * exp2i(n - broadcast(1.0f));
  result = select(less(x, broadcast(-86.98f)), broadcast(0.0f), result);
  result = select(greater(x, broadcast(88.722839f)), broadcast(kInfinity), result);
  return select(is_nan(x), x, result);
}

/// e^x = fraction * scale for x <= 0, in two thirds of the instructions of exp, for a softmax: off by less than
/// (1.6e-7 + 1.4e-8 |x|) e^x, 0 below -87.68, NaN from NaN. x log2(e) = f + n with whole n; scale is 2^n, fraction
/// 2^f = 1 + f p(f), p of degree 4 with the least relative error (9e-8). Adding 1.5 * 2^23 + 127 rounds to n and leaves
/// n + 127, the exponent of 2^n, in the low bits; f is rounded once.
struct ExpParts {
  F32 fraction, scale;
};
inline ExpParts exp_parts_nonpositive(F32 x) {
  const F32 log2e = broadcast(1.44269504f), magic = broadcast(12582912.0f + 127.0f);
  x = max(broadcast(-88.02969f), x);  // -127 ln 2, whose scale is 0; in this order NaN stays NaN
  const F32 biased = fma(x, log2e, magic);
  const F32 f = fma(x, log2e, magic - biased);
  F32 p = broadcast(0.0013264727f);
  p = fma(p, f, broadcast(0.009671513f));
  p = fma(p, f, broadcast(0.055507336f));
  p = fma(p, f, broadcast(0.24022242f));
  p = fma(p, f, broadcast(0.693147f));
  return {fma(p, f, broadcast(1.0f)), low_bits_to_exponent(biased)};
}
inline F32 exp_nonpositive(F32 x) {
  const ExpParts e = exp_parts_nonpositive(x);
  return e.fraction * e.scale;
}

/// (2^f - 1) / f for |f| <= 1/2, relative error below 2.2e-8.
inline F32 exp2_slope(F32 f) {
  F32 p = broadcast(0.00015403512f);
  p = fma(p, f, broadcast(0.0013390735f));
  p = fma(p, f, broadcast(0.009618238f));
  p = fma(p, f, broadcast(0.055503573f));
  p = fma(p, f, broadcast(0.24022649f));
  return fma(p, f, broadcast(0.6931472f));
}

/// 1 / (1 + e^-x) within 3 ulp for x > -86.98, 0 below -88.4. e^-x = 2^n 2^f as in exp_parts_nonpositive, but log2(e)
/// in two parts; n = 128 makes 2^n infinite.
inline F32 sigmoid(F32 x) {
  const F32 log2e = broadcast(-1.44269504f), magic = broadcast(12582912.0f + 127.0f), one = broadcast(1.0f);
  x = min(broadcast(87.0f), max(broadcast(-88.7f), x));  // in this order NaN stays NaN
  const F32 biased = fma(x, log2e, magic);
  F32 f = fma(x, log2e, magic - biased);
  f = fma(x, broadcast(-1.9259630e-8f), f);
  return one / fma(fma(exp2_slope(f), f, one), low_bits_to_exponent(biased), one);
}

/// Within 3 ulp: E / (E + 2) with E = e^2|x| - 1 = 2^n (2^f - 1) + 2^n - 1, in which small numbers keep their digits.
inline F32 tanh(F32 x) {
  const F32 log2e_2 = broadcast(2.88539008f), magic = broadcast(12582912.0f + 127.0f);
  const F32 a = min(broadcast(10.0f), abs(x));  // in this order NaN stays NaN
  const F32 biased = fma(a, log2e_2, magic);
  const F32 f = fma(a, log2e_2, magic - biased), scale = low_bits_to_exponent(biased);
  const F32 e = fma(exp2_slope(f) * f, scale, scale - broadcast(1.0f));
  return copysign(e / (e + broadcast(2.0f)), x);
}

/// The normal distribution function at -|x|, off by less than (5e-7 + 4e-8 x^2) of itself, 0 below -13.3:
/// e^(-x^2 / 2) q(t) with t = 1 / (1 + 0.29 |x|), q of degree 8 with the least relative error (6e-8). NaN stays NaN.
inline F32 normal_tail(F32 x) {
  const F32 one = broadcast(1.0f);
  const F32 t = one / fma(abs(x), broadcast(0.29f), one);
  F32 q = broadcast(0.038972002f);
  q = fma(q, t, broadcast(-0.19163503f));
  q = fma(q, t, broadcast(0.30488282f));
  q = fma(q, t, broadcast(-0.15138517f));
  q = fma(q, t, broadcast(0.18709514f));
  q = fma(q, t, broadcast(0.075592242f));
  q = fma(q, t, broadcast(0.12135043f));
  q = fma(q, t, broadcast(0.11510091f));
  q = fma(q, t, broadcast(2.6625281e-05f));
  return exp_nonpositive(x * x * broadcast(-0.5f)) * q;
}

/// Natural logarithm of a normal number or +inf, within 2 ulp where |log x| > 0.1; for the sums of a softmax,
/// so one at a time. x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = r - r^2 / 2 + r^3 p(r) with r = m - 1, p of
/// degree 7 fitted at Chebyshev nodes (error 2e-8).
inline float log1(float x) {
  if (!(x < kInfinity)) return x;
  int32_t exponent_bits;
  std::memcpy(&exponent_bits, &x, sizeof exponent_bits);
  int32_t e = ((exponent_bits >> 23) & 0xff) - 127;
  const int32_t mantissa_bits = (exponent_bits & 0x007fffff) | 0x3f800000;
  float m;
  std::memcpy(&m, &mantissa_bits, sizeof m);
  if (m > 1.41421356f) {
    m *= 0.5f;
    ++e;
  }
  const F32 r = broadcast(m - 1.0f), n = broadcast(static_cast<float>(e));
  F32 p = broadcast(-0.07902744f);
  p = fma(p, r, broadcast(0.12622319f));
  p = fma(p, r, broadcast(-0.12998183f));
  p = fma(p, r, broadcast(0.14214496f));
  p = fma(p, r, broadcast(-0.16641282f));
  p = fma(p, r, broadcast(0.20001045f));
  p = fma(p, r, broadcast(-0.25000307f));
  p = fma(p, r, broadcast(0.3333333f));
  const F32 square = r * r;
  F32 result = fma(square * r, p, n * broadcast(-2.12194440e-4f));
  result = fma(square, broadcast(-0.5f), result);
  result = fma(n, broadcast(0.693359375f), r + result);
  float lanes[kLanes];
  store(lanes, result);
  return lanes[0];
}

}  // namespace
}  // namespace fastseq
