// AVX-512 without VNNI: |x| (sign(x) w) by vpmaddubsw, as in AVX2; the sign is applied by a masked subtraction.
#pragma once

#include "simd/int8/avx512_common.h"

namespace fastseq {
namespace {

struct Inputs8 {
  __m512i magnitude;
  __mmask64 negative;
};

inline F32 finish(I32 sum, const int32_t*, int32_t) { return {_mm512_maskz_cvtepi32_ps(kAll, to_register(sum.v))}; }
inline void store_inputs(int8_t* to, V16 v) { store_bytes(to, v); }
inline Inputs8 broadcast_inputs(const int8_t* from) {
  const __m512i value = broadcast_four(from);
  return {_mm512_abs_epi8(value), _mm512_movepi8_mask(value)};
}
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
  const __m512i weights = _mm512_mask_sub_epi8(w.v, x.negative, _mm512_setzero_si512(), w.v);
  const __m512i pairs = _mm512_maddubs_epi16(x.magnitude, weights);
  return {plus(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}

}  // namespace
}  // namespace fastseq
