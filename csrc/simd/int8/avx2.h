// AVX2: |x| (sign(x) w) by vpmaddubsw. A pair of products is at most 2 * 127 * 127 = 32258, so its 16-bit sum does
// not saturate, which it would for activations of eight unsigned bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr uint8_t kInputOffset = 0;
struct I32 {
  __m256i v;
};
struct Weights8 {
  __m256i v;
};
struct Inputs8 {
  __m256i value, magnitude;
};

inline I32 load_sums(const int32_t* from) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))}; }
inline F32 to_float(I32 a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline Weights8 load_weights(const int8_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
}
inline Inputs8 broadcast_inputs(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  const __m256i value = _mm256_set1_epi32(four);
  return {value, _mm256_abs_epi8(value)};
}
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
  const __m256i pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_sign_epi8(w.v, x.value));
  return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
inline void store_bytes(int8_t* to, V16 v, uint8_t offset) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.part[0].v), _mm256_cvtps_epi32(v.part[1].v));
  const __m256i sorted = _mm256_permute4x64_epi64(words, 0xd8);  // the packing works within each half
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(sorted), _mm256_extracti128_si256(sorted, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_add_epi8(bytes, _mm_set1_epi8(static_cast<char>(offset))));
}

}  // namespace
}  // namespace fastseq
