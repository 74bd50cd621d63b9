// Portable vectors: four floats and loops that the compiler may vectorise for the baseline processor.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int kLanes = 4;
struct F32 {
  float lane[kLanes];
};
struct Mask {
  bool lane[kLanes];
};

/// a * b + c rounded once, also where the processor has no such instruction. The product of two floats is
/// exact in double; adding c with rounding to odd (Boldo and Melquiond, 2008) keeps enough of the sum that the
/// final rounding to float is the only one.
inline float fma1(float a, float b, float c) {
#if defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  const double product = static_cast<double>(a) * b;
  const double addend = c;
  double sum = product + addend;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);
  if (error > 0.0 || error < 0.0) {  // not NaN, as it is where the sum is not finite
    int64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    if ((bits & 1) == 0) bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
    std::memcpy(&sum, &bits, sizeof bits);
  }
  return static_cast<float>(sum);
#endif
}

#define FASTSEQ_LANES(expression)                          \
  F32 r;                                                   \
  for (int i = 0; i < kLanes; ++i) r.lane[i] = expression; \
  return r
#define FASTSEQ_MASK(expression)                           \
  Mask r;                                                  \
  for (int i = 0; i < kLanes; ++i) r.lane[i] = expression; \
  return r

inline F32 load(const float* from) { FASTSEQ_LANES(from[i]); }
inline void store(float* to, F32 v) { std::memcpy(to, v.lane, sizeof v.lane); }
inline F32 broadcast(float x) { FASTSEQ_LANES(x); }
inline F32 add(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] + b.lane[i]); }
inline F32 sub(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] - b.lane[i]); }
inline F32 mul(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] * b.lane[i]); }
inline F32 div(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] / b.lane[i]); }
inline F32 fma(F32 a, F32 b, F32 c) { FASTSEQ_LANES(fma1(a.lane[i], b.lane[i], c.lane[i])); }
inline F32 sqrt(F32 a) { FASTSEQ_LANES(std::sqrt(a.lane[i])); }
// The second operand where either is NaN, as the x86 instructions do.
inline F32 max(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
inline F32 min(F32 a, F32 b) { FASTSEQ_LANES(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
inline F32 round(F32 a) { FASTSEQ_LANES(std::nearbyintf(a.lane[i])); }  // to nearest, ties to even
inline F32 abs(F32 a) { FASTSEQ_LANES(std::fabs(a.lane[i])); }
inline F32 copysign(F32 magnitude, F32 sign) { FASTSEQ_LANES(std::copysign(magnitude.lane[i], sign.lane[i])); }

inline Mask less(F32 a, F32 b) { FASTSEQ_MASK(a.lane[i] < b.lane[i]); }
inline Mask greater(F32 a, F32 b) { FASTSEQ_MASK(a.lane[i] > b.lane[i]); }
inline Mask is_nan(F32 a) { FASTSEQ_MASK(a.lane[i] != a.lane[i]); }
inline F32 select(Mask m, F32 yes, F32 no) { FASTSEQ_LANES(m.lane[i] ? yes.lane[i] : no.lane[i]); }
/// Bit i is lane i.
inline uint32_t bits(Mask m) {
  uint32_t r = 0;
  for (int i = 0; i < kLanes; ++i) r |= static_cast<uint32_t>(m.lane[i]) << i;
  return r;
}

/// Lanes from `count` on are `fill`; their memory is not touched.
inline F32 load_partial(const float* from, int64_t count, float fill = 0.0f) {
  FASTSEQ_LANES(i < count ? from[i] : fill);
}
inline void store_partial(float* to, F32 v, int64_t count) {
  for (int i = 0; i < kLanes && i < count; ++i) to[i] = v.lane[i];
}

/// bfloat16 numbers from the lower or the upper halves of words: the upper half of a float is the same number in it.
inline F32 from_bits(const uint32_t* bits) {
  F32 r;
  std::memcpy(r.lane, bits, sizeof r.lane);
  return r;
}
inline F32 load_low_halves(const uint32_t* from) {
  uint32_t bits[kLanes];
  for (int i = 0; i < kLanes; ++i) bits[i] = from[i] << 16;
  return from_bits(bits);
}
inline F32 load_high_halves(const uint32_t* from) {
  uint32_t bits[kLanes];
  for (int i = 0; i < kLanes; ++i) bits[i] = from[i] & 0xffff0000u;
  return from_bits(bits);
}

/// Of sixteen lanes: j and j + 8, then j + 4, j + 2, j + 1.
inline float reduce_add(const F32* part) {
  const F32 four = add(add(part[0], part[2]), add(part[1], part[3]));
  return (four.lane[0] + four.lane[2]) + (four.lane[1] + four.lane[3]);
}
inline float reduce_max(const F32* part) {
  const F32 four = max(max(part[0], part[2]), max(part[1], part[3]));
  const F32 two = max(four, F32{{four.lane[2], four.lane[3], four.lane[2], four.lane[3]}});
  return two.lane[0] > two.lane[1] ? two.lane[0] : two.lane[1];
}

/// 2^n for whole n in [-126, 127].
inline F32 exp2i(F32 n) {
  F32 r;
  for (int i = 0; i < kLanes; ++i) {
    // Out-of-range lanes (NaN among them) give some number that the caller selects away.
    const float x = n.lane[i] > -127.0f && n.lane[i] < 128.0f ? n.lane[i] : 0.0f;
    const int32_t exponent = (static_cast<int32_t>(x) + 127) << 23;
    std::memcpy(&r.lane[i], &exponent, sizeof exponent);
  }
  return r;
}

/// The lower nine bits of each lane as the sign and the exponent of a float.
inline F32 low_bits_to_exponent(F32 a) {
  uint32_t bits[kLanes];
  std::memcpy(bits, a.lane, sizeof bits);
  for (int i = 0; i < kLanes; ++i) bits[i] <<= 23;
  return from_bits(bits);
}

#undef FASTSEQ_LANES
#undef FASTSEQ_MASK

}  // namespace
}  // namespace fastseq
