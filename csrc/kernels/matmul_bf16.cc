// Dense layers with bfloat16 weights (layout: MatmulBf16Args in args.h).
//
// A weight is widened by a shift, which is exact, and multiplied in float32: each output is the chain of fma over k
// ascending that a float32 weight of the same numbers gives, bit for bit.
#include "kernels/matmul_epilogue.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

/// Rows of a tile that fit the registers: R * P sums, P weights, one input.
template <int P>
constexpr int max_rows() {
#if defined(FASTSEQ_ISA_AVX512)
  return P == 4 ? 6 : 8;
#elif defined(FASTSEQ_ISA_AVX2)
  return P == 1 ? 8 : 12 / P;
#else
  return 2;
#endif
}

/// Panels taken at once by a tile of few rows: about eight independent chains hide the latency of fma.
template <int P, int R>
constexpr int kPanels = R * P <= 2   ? 4
                        : R * P <= 4 ? 2
                                     : 1;

template <int R, int P, int Q>
struct Bf16Tile {
  F32 sum[R][Q][P];

  FASTSEQ_ALWAYS_INLINE void multiply_one(const float* input, int64_t stride, const F32 (&w)[Q][P]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F32 x = broadcast(input[r * stride]);
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum[r][q][p] = fma(x, w[q][p], sum[r][q][p]);
      }
    }
  }

  FASTSEQ_ALWAYS_INLINE void multiply(const float* input, int64_t stride, const uint32_t* panel, int64_t panel_stride,
                                      int64_t count) {
    F32 w[Q][P];
    for (int64_t k = 0; k < count; k += 2, panel += P * kLanes) {
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) w[q][p] = load_low_halves(panel + q * panel_stride + p * kLanes);
      }
      multiply_one(input + k, stride, w);
      if (k + 1 == count) break;
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) w[q][p] = load_high_halves(panel + q * panel_stride + p * kLanes);
      }
      multiply_one(input + k + 1, stride, w);
    }
  }
};

template <int R, int P, int Q>
void tile(const MatmulBf16Args& args, int64_t row, int64_t panel) {
  constexpr int64_t kWidth = P * kLanes;
  const MatmulArgs& common = args.common;
  const int64_t panel_stride = (common.in_features + 1) / 2 * kWidth, column = panel * kWidth;
  float* output = common.output + row * common.output_stride + column;
  const int64_t columns = common.out_features - column;  // of this tile and all behind it
  Bf16Tile<R, P, Q> tile;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t offset = q * kWidth + p * kLanes, left = columns - offset;
        F32 start = broadcast(0.0f);
        if (args.accumulate) {
          const float* from = output + r * common.output_stride + offset;
          start = left >= kLanes ? load(from) : load_partial(from, left);
        } else if (common.bias != nullptr) {
          start = load(common.bias + column + offset);
        }
        tile.sum[r][q][p] = start;
      }
    }
  }
  tile.multiply(common.input + row * common.input_stride, common.input_stride, args.panels + panel * panel_stride,
                panel_stride, common.in_features);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t offset = q * kWidth + p * kLanes, left = columns - offset;
        float* to = output + r * common.output_stride + offset;
        if (left >= kLanes) {
          store(to, tile.sum[r][q][p]);
        } else {
          store_partial(to, tile.sum[r][q][p], left);
        }
      }
    }
  }
  if (common.activation != Activation::kNone) {
    activate_tile(common.activation, output, common.output_stride, R, columns < Q * kWidth ? columns : Q * kWidth);
  }
}

/// `height` rows of some panels; takes as many panels at once as suit the height.
template <int P, int R>
void rows_of(const MatmulBf16Args& args, int64_t row, int64_t height, int64_t begin, int64_t end) {
  if constexpr (R > 0) {
    if (height != R) return rows_of<P, R - 1>(args, row, height, begin, end);
    constexpr int Q = kPanels<P, R>;
    int64_t panel = begin;
    for (; panel + Q <= end; panel += Q) tile<R, P, Q>(args, row, panel);
    if constexpr (Q > 1) {
      for (; panel < end; ++panel) tile<R, P, 1>(args, row, panel);
    }
  }
}

template <int P>
void matmul_panels(const MatmulBf16Args& args) {
  constexpr int kRows = max_rows<P>();
  const int64_t rows = args.common.rows, tiles = (rows + kRows - 1) / kRows;
  if (tiles == 1) return rows_of<P, kRows>(args, 0, rows, args.common.panel_begin, args.common.panel_end);
  for (int64_t panel = args.common.panel_begin; panel < args.common.panel_end; ++panel) {
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = rows * t / tiles;
      rows_of<P, kRows>(args, row, rows * (t + 1) / tiles - row, panel, panel + 1);
    }
  }
}

void matmul_bf16(const MatmulBf16Args& args) {
  switch (args.common.vectors) {
    case 1:
      return matmul_panels<1>(args);
    case 2:
      return matmul_panels<2>(args);
    case 3:
      return matmul_panels<3>(args);
    default:
      return matmul_panels<4>(args);
  }
}

}  // namespace

FASTSEQ_REGISTER(matmul_bf16) {
#if defined(FASTSEQ_ISA_AVX512)
  table.bf16_vectors = 4;
#else
  table.bf16_vectors = 2;
#endif
  table.matmul_bf16 = matmul_bf16;
}

}  // namespace fastseq
