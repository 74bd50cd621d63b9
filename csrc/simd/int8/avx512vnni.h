// AVX-512 with VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations are stored with 128 added and the
// sums start from -128 times the sum of their weights.
#pragma once

#include "simd/int8/avx512_common.h"

namespace fastseq {
namespace {

constexpr uint8_t kInputOffset = 128;
struct Inputs8 {
  __m512i v;
};

inline Inputs8 broadcast_inputs(const int8_t* from) { return {broadcast_four(from)}; }
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) { return {_mm512_dpbusd_epi32(sum.v, x.v, w.v)}; }

}  // namespace
}  // namespace fastseq
