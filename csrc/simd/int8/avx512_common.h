// What AVX-512 does in the same way with and without VNNI.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int64_t kInputBytes = 1;
struct I32 {
  __m512i v;
};
struct Weights8 {
  __m512i v;
};

inline I32 zero_sums() { return {_mm512_setzero_si512()}; }
inline Weights8 load_weights(const int8_t* from) { return {_mm512_loadu_si512(from)}; }
inline __m512i broadcast_four(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}
inline __m128i to_bytes(V16 v) { return _mm512_maskz_cvtepi32_epi8(kAll, _mm512_maskz_cvtps_epi32(kAll, v.part[0].v)); }
inline void store_bytes(int8_t* to, V16 v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), to_bytes(v)); }

}  // namespace
}  // namespace fastseq
