// The inner loop of every product: R rows times Q panels of P vectors, accumulators in registers.
#pragma once

#include "kernels/ahead.h"
#include "simd/simd.h"

namespace fastseq {
namespace {

/// Rows of a tile that fit the registers: R * P accumulators, P weights, one broadcast input.
template <int P>
constexpr int max_rows() {
#if defined(FASTSEQ_ISA_AVX512) || defined(FASTSEQ_ISA_NEON)
  return P == 4 ? 6 : 8;  // of 32 registers
#elif defined(FASTSEQ_ISA_AVX2)
  return P == 1 ? 8 : 12 / P;  // of 16
#else
  return 2;
#endif
}

template <int R, int P, int Q = 1>
struct Tile {
  F32 sum[R][Q][P];

  /// sum[r][q][p] += input[r][k] * weight[q][k][p] for k ascending: one chain of fma for each output. The vectors
  /// of one k lie together; from one k to the next it is `step` floats, from one panel to the next panel_stride.
  /// A line of `ahead` is fetched with every second k.
  FASTSEQ_ALWAYS_INLINE void multiply(const float* input, int64_t input_stride, const float* panel,
                                      int64_t panel_stride, int64_t count, int64_t step = P * kLanes,
                                      Ahead ahead = {}) {
    int64_t k = 0;
    for (int64_t line = 0; line < ahead.lines && k + 1 < count; ++line, k += 2) {
      prefetch(ahead.from + line * kLineFloats);
      add(input + k, input_stride, panel + k * step, panel_stride);
      add(input + k + 1, input_stride, panel + (k + 1) * step, panel_stride);
    }
    for (; k < count; ++k) add(input + k, input_stride, panel + k * step, panel_stride);
  }

 private:
  /// The products of one k.
  FASTSEQ_ALWAYS_INLINE void add(const float* input, int64_t input_stride, const float* weights, int64_t panel_stride) {
    F32 w[Q][P];
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) w[q][p] = load(weights + q * panel_stride + p * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F32 x = broadcast(input[r * input_stride]);
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) sum[r][q][p] = fma(x, w[q][p], sum[r][q][p]);
      }
    }
  }
};

}  // namespace
}  // namespace fastseq
