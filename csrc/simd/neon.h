// NEON of 64-bit ARM: four floats.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace fastseq {
namespace {

constexpr int kLanes = 4;
struct F32 {
  float32x4_t v;
};
struct Mask {
  uint32x4_t v;
};

inline F32 load(const float* from) { return {vld1q_f32(from)}; }
inline void store(float* to, F32 a) { vst1q_f32(to, a.v); }
inline F32 broadcast(float x) { return {vdupq_n_f32(x)}; }
inline F32 add(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
inline F32 sub(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
inline F32 mul(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
inline F32 div(F32 a, F32 b) { return {vdivq_f32(a.v, b.v)}; }
inline F32 fma(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline F32 sqrt(F32 a) { return {vsqrtq_f32(a.v)}; }
// The second operand where either is NaN, as the x86 instructions do and vmaxq and vminq do not.
inline F32 max(F32 a, F32 b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
inline F32 round(F32 a) { return {vrndnq_f32(a.v)}; }  // to nearest, ties to even
inline F32 abs(F32 a) { return {vabsq_f32(a.v)}; }
inline F32 copysign(F32 magnitude, F32 sign) { return {vbslq_f32(vdupq_n_u32(0x80000000u), sign.v, magnitude.v)}; }

inline Mask less(F32 a, F32 b) { return {vcltq_f32(a.v, b.v)}; }
inline Mask greater(F32 a, F32 b) { return {vcgtq_f32(a.v, b.v)}; }
inline Mask is_nan(F32 a) { return {vmvnq_u32(vceqq_f32(a.v, a.v))}; }
inline F32 select(Mask m, F32 yes, F32 no) { return {vbslq_f32(m.v, yes.v, no.v)}; }
/// Bit i is lane i.
inline uint32_t bits(Mask m) {
  const uint32x4_t weights = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(m.v, weights));
}

/// Lanes from `count` on are `fill`; their memory is not touched.
inline F32 load_partial(const float* from, int64_t count, float fill = 0.0f) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = i < count ? from[i] : fill;
  return load(lanes);
}
inline void store_partial(float* to, F32 a, int64_t count) {
  float lanes[kLanes];
  store(lanes, a);
  for (int i = 0; i < kLanes && i < count; ++i) to[i] = lanes[i];
}

/// bfloat16 numbers from the lower or the upper halves of words: the upper half of a float is the same number in it.
inline F32 load_low_halves(const uint32_t* from) { return {vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(from), 16))}; }
inline F32 load_high_halves(const uint32_t* from) {
  return {vreinterpretq_f32_u32(vandq_u32(vld1q_u32(from), vdupq_n_u32(0xffff0000u)))};
}

/// Of sixteen lanes: j and j + 8, then j + 4, j + 2, j + 1.
inline float reduce_add(const F32* part) {
  const F32 four = add(add(part[0], part[2]), add(part[1], part[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four.v), vget_high_f32(four.v));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float reduce_max(const F32* part) {
  const F32 four = max(max(part[0], part[2]), max(part[1], part[3]));
  const F32 two = max(four, F32{vextq_f32(four.v, four.v, 2)});
  const float first = vgetq_lane_f32(two.v, 0), second = vgetq_lane_f32(two.v, 1);
  return first > second ? first : second;
}

/// 2^n for whole n in [-126, 127].
inline F32 exp2i(F32 n) {
  const int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(n.v), vdupq_n_s32(127));
  return {vreinterpretq_f32_s32(vshlq_n_s32(biased, 23))};
}

/// The lower nine bits of each lane as the sign and the exponent of a float.
inline F32 low_bits_to_exponent(F32 a) { return {vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a.v), 23))}; }

}  // namespace
}  // namespace fastseq
