// AVX-512 (F, BW, DQ, VL): sixteen floats.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace fastseq {
namespace {

constexpr int kLanes = 16;
struct F32 {
  __m512 v;
};
struct Mask {
  __mmask16 v;
};

// The maskz forms with all lanes on are the plain instructions; the plain intrinsics start from a deliberately
// uninitialised register, of which GCC 12 warns (its bug 105593).
constexpr __mmask16 kAll = 0xffff;

inline F32 load(const float* from) { return {_mm512_loadu_ps(from)}; }
inline void store(float* to, F32 a) { _mm512_storeu_ps(to, a.v); }
inline F32 broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline F32 add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32 sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32 mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32 div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F32 sqrt(F32 a) { return {_mm512_maskz_sqrt_ps(kAll, a.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm512_maskz_max_ps(kAll, a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm512_maskz_min_ps(kAll, a.v, b.v)}; }
inline F32 round(F32 a) {
  return {_mm512_maskz_roundscale_ps(kAll, a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
inline F32 copysign(F32 magnitude, F32 sign) {
  const __m512 bit = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v))};
}

inline Mask less(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask greater(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline Mask is_nan(F32 a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
inline F32 select(Mask m, F32 yes, F32 no) { return {_mm512_mask_blend_ps(m.v, no.v, yes.v)}; }
/// Bit i is lane i.
inline uint32_t bits(Mask m) { return m.v; }

/// The first `count` lanes (none below 1, all above 15).
inline __mmask16 first_lanes(int64_t count) {
  return count >= kLanes ? kAll : count <= 0 ? __mmask16{0} : static_cast<__mmask16>((1u << count) - 1);
}
/// Lanes from `count` on are `fill`; their memory is not touched.
inline F32 load_partial(const float* from, int64_t count, float fill = 0.0f) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(count), from)};
}
inline void store_partial(float* to, F32 a, int64_t count) { _mm512_mask_storeu_ps(to, first_lanes(count), a.v); }

/// bfloat16 numbers from the lower or the upper halves of words: the upper half of a float is the same number in it.
inline F32 load_low_halves(const uint32_t* from) {
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_loadu_si512(from), 16))};
}
inline F32 load_high_halves(const uint32_t* from) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(from), upper))};
}

template <int Half>
inline __m256 half(F32 a) {
  return _mm512_maskz_extractf32x8_ps(0xff, a.v, Half);
}
/// Of sixteen lanes: j and j + 8, then j + 4, j + 2, j + 1.
inline float reduce_add(const F32* part) {
  const __m256 eight = _mm256_add_ps(half<0>(part[0]), half<1>(part[0]));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float reduce_max(const F32* part) {
  const __m256 eight = _mm256_max_ps(half<0>(part[0]), half<1>(part[0]));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// 2^n for whole n in [-126, 127].
inline F32 exp2i(F32 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_maskz_cvtps_epi32(kAll, n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, biased, 23))};
}

/// The lower nine bits of each lane as the sign and the exponent of a float.
inline F32 low_bits_to_exponent(F32 a) {
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_castps_si512(a.v), 23))};
}

}  // namespace
}  // namespace fastseq
