// AVX-512 with VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations are stored with 128 added, and 128
// times the sum of the weights is subtracted last.
#pragma once

#include "simd/int8/avx512_common.h"

namespace fastseq {
namespace {

struct Inputs8 {
  __m512i v;
};

inline F32 finish(I32 sum, const int32_t* weights, int32_t) {
  const __m512i excess = _mm512_maskz_slli_epi32(kAll, _mm512_loadu_si512(weights), 7);
  return {_mm512_maskz_cvtepi32_ps(kAll, _mm512_sub_epi32(to_register(sum.v), excess))};
}
inline void store_inputs(int8_t* to, V16 v) {
  const __m128i bytes = _mm_xor_si128(to_bytes(v), _mm_set1_epi8(static_cast<char>(128)));  // 128 more, modulo 256
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}
inline Inputs8 broadcast_inputs(const int8_t* from) { return {broadcast_four(from)}; }
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
  return {to_sums(_mm512_dpbusd_epi32(to_register(sum.v), x.v, w.v))};
}

}  // namespace
}  // namespace fastseq
