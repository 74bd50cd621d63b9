// What AVX-512 does in the same way with and without VNNI.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int64_t kInputBytes = 1;
#if defined(_MSC_VER)
using Sums = __m512i;
inline Sums plus(Sums a, __m512i b) { return _mm512_add_epi32(a, b); }
inline __m512i to_register(Sums a) { return a; }
inline Sums to_sums(__m512i a) { return a; }
#else
// Not __m512i, which is of 64-bit numbers: GCC 12 then keeps every sum in two registers and copies it to and fro in
// each round. Unsigned, as sums wrap on the way.
typedef uint32_t Sums __attribute__((vector_size(64)));
inline Sums plus(Sums a, __m512i b) { return a + reinterpret_cast<Sums>(b); }
inline __m512i to_register(Sums a) { return reinterpret_cast<__m512i>(a); }
inline Sums to_sums(__m512i a) { return reinterpret_cast<Sums>(a); }
#endif
struct I32 {
  Sums v;
};
struct Weights8 {
  __m512i v;
};

inline I32 zero_sums() { return {Sums{}}; }
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
