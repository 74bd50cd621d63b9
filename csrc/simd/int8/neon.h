// NEON, with the dot product where it is present and with widening multiplications elsewhere: a pair of products is at
// most 2 * 127 * 127 = 32258, so its 16-bit sum does not overflow.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int64_t kInputBytes = 1;
struct I32 {
  int32x4_t v;
};
struct Weights8 {
  int8x16_t v;
};
struct Inputs8 {
  int8x16_t v;
};

inline I32 zero_sums() { return {vdupq_n_s32(0)}; }
inline F32 finish(I32 sum, const int32_t*, int32_t) { return {vcvtq_f32_s32(sum.v)}; }
inline Weights8 load_weights(const int8_t* from) { return {vld1q_s8(from)}; }
inline Inputs8 broadcast_inputs(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
}
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
#if defined(FASTSEQ_ISA_NEONDOT)
  return {vdotq_s32(sum.v, w.v, x.v)};
#else
  const int16x8_t low = vmull_s8(vget_low_s8(x.v), vget_low_s8(w.v)), high = vmull_high_s8(x.v, w.v);
  return {vpadalq_s16(sum.v, vpaddq_s16(low, high))};
#endif
}
inline void store_bytes(int8_t* to, V16 v) {
  int16x4_t words[kParts];
  for (int p = 0; p < kParts; ++p) words[p] = vqmovn_s32(vcvtnq_s32_f32(v.part[p].v));
  const int8x8_t low = vqmovn_s16(vcombine_s16(words[0], words[1])),
                 high = vqmovn_s16(vcombine_s16(words[2], words[3]));
  vst1q_s8(to, vcombine_s8(low, high));
}
inline void store_inputs(int8_t* to, V16 v) { store_bytes(to, v); }

}  // namespace
}  // namespace fastseq
