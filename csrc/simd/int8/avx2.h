// AVX2: |x| (sign(x) w) by vpmaddubsw, which multiplies unsigned by signed bytes and adds pairs in 16 bits.
//
// vpsignb would compete with the multiplications for their two execution ports. Instead the bits of w are inverted
// where x is negative, by any of four ports: ~w = -w - 1, so a sum is too small by the magnitudes of the row's negative
// activations, which are added last. A pair of products is at most 2 * 127 * 128 = 32512: it does not saturate, which
// it would for activations of eight unsigned bits.
//
// Activations are stored as four magnitudes, then their four masks (0 or -1), then the next four.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int64_t kInputBytes = 2;
#if defined(_MSC_VER)
using Sums = __m256i;
inline Sums plus(Sums a, __m256i b) { return _mm256_add_epi32(a, b); }
inline __m256i to_register(Sums a) { return a; }
#else
// Not __m256i, which is of 64-bit numbers: GCC 12 then copies every sum to another register in each round.
// Unsigned, as sums wrap on the way.
typedef uint32_t Sums __attribute__((vector_size(32)));
inline Sums plus(Sums a, __m256i b) { return a + reinterpret_cast<Sums>(b); }
inline __m256i to_register(Sums a) { return reinterpret_cast<__m256i>(a); }
#endif
struct I32 {
  Sums v;
};
struct Weights8 {
  __m256i v;
};
struct Inputs8 {
  __m256i magnitude, negative;
};

inline I32 zero_sums() { return {Sums{}}; }
inline F32 finish(I32 sum, const int32_t*, int32_t input) {
  return {_mm256_cvtepi32_ps(_mm256_add_epi32(to_register(sum.v), _mm256_set1_epi32(input)))};
}
inline Weights8 load_weights(const int8_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
}
inline Inputs8 broadcast_inputs(const int8_t* from) {
  int32_t four[2];
  std::memcpy(four, from, sizeof four);
  return {_mm256_set1_epi32(four[0]), _mm256_set1_epi32(four[1])};
}
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
  const __m256i pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_xor_si256(w.v, x.negative));
  return {plus(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}

inline __m128i to_bytes(V16 v) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.part[0].v), _mm256_cvtps_epi32(v.part[1].v));
  const __m256i sorted = _mm256_permute4x64_epi64(words, 0xd8);  // the packing works within each half
  return _mm_packs_epi16(_mm256_castsi256_si128(sorted), _mm256_extracti128_si256(sorted, 1));
}
inline void store_bytes(int8_t* to, V16 v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), to_bytes(v)); }
inline void store_inputs(int8_t* to, V16 v) {
  const __m128i bytes = to_bytes(v), magnitude = _mm_abs_epi8(bytes),
                negative = _mm_cmpgt_epi8(_mm_setzero_si128(), bytes);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi32(magnitude, negative));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16), _mm_unpackhi_epi32(magnitude, negative));
}

}  // namespace
}  // namespace fastseq
