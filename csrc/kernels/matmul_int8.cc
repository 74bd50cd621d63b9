// Dense layers with int8 weights and quantised rows (layout and formula: MatmulInt8Args in args.h).
//
// The sums are integers, so their order is free; the way back to float is one multiplication of the scales and one
// fma for each output, whatever the tile it is computed in.
#include "kernels/ahead.h"
#include "kernels/matmul_epilogue.h"
#include "kernels/register.h"
#include "simd/int8.h"

namespace fastseq {
namespace {

/// Rows of a tile that fit the registers: R * P sums, P weights, one input and what the product needs.
template <int P>
constexpr int max_rows() {
#if defined(FASTSEQ_ISA_AVX512) || defined(FASTSEQ_ISA_NEON)
  return P == 4 ? 6 : 8;
#elif defined(FASTSEQ_ISA_AVX2)
  return P == 1 ? 8 : P == 2 ? 5 : P == 3 ? 3 : 2;
#else
  return 2;
#endif
}

/// The products of four inputs of R rows.
template <int R, int P>
FASTSEQ_ALWAYS_INLINE void add_four(const int8_t* input, int64_t input_stride, const int8_t* weights,
                                    I32 (&sum)[R][P]) {
  Weights8 w[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) w[p] = load_weights(weights + p * 4 * kLanes);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const Inputs8 x = broadcast_inputs(input + r * input_stride);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[r][p] = add_products(sum[r][p], x, w[p]);
  }
}

/// A line of `ahead` is fetched with every four inputs.
template <int R, int P>
void tile(const MatmulInt8Args& args, int64_t row, int64_t panel, Ahead ahead) {
  constexpr int64_t kWidth = P * kLanes, kFour = 4 * kInputBytes;
  const MatmulArgs& common = args.common;
  const int64_t fours = (common.in_features + 3) / 4, column = panel * kWidth;
  const int8_t* weights = args.panels + panel * fours * kWidth * 4;
  const int8_t* input = args.input + row * common.input_stride;
  I32 sum[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[r][p] = zero_sums();
  }
  int64_t k = 0;
  for (; k < fours && k < ahead.lines; ++k) {
    prefetch(ahead.from + k * kLineFloats);
    add_four<R, P>(input + k * kFour, common.input_stride, weights + k * kWidth * 4, sum);
  }
  for (; k < fours; ++k) add_four<R, P>(input + k * kFour, common.input_stride, weights + k * kWidth * 4, sum);
  float* output = common.output + row * common.output_stride + column;
  const int64_t columns = common.out_features - column;  // of this panel and all behind it
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const F32 input_scale = broadcast(args.input_scales[row + r]);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const int64_t offset = p * kLanes, left = columns - offset;
      float* at = output + r * common.output_stride + offset;
      const F32 scale = input_scale * load(args.weight_scales + column + offset);
      F32 start = broadcast(0.0f);
      if (args.accumulate) {
        start = left >= kLanes ? load(at) : load_partial(at, left);
      } else if (common.bias != nullptr) {
        start = load(common.bias + column + offset);
      }
      const F32 y = fma(finish(sum[r][p], args.weight_sums + column + offset, args.input_sums[row + r]), scale, start);
      if (left >= kLanes) {
        store(at, y);
      } else {
        store_partial(at, y, left);
      }
    }
  }
  if (common.activation != Activation::kNone) {
    activate_tile(common.activation, output, common.output_stride, R, columns < kWidth ? columns : kWidth);
  }
}

template <int P, int R>
void rows_of(const MatmulInt8Args& args, int64_t row, int64_t height, int64_t panel, Ahead ahead) {
  if constexpr (R > 0) {
    if (height == R) {
      tile<R, P>(args, row, panel, ahead);
    } else {
      rows_of<P, R - 1>(args, row, height, panel, ahead);
    }
  }
}

template <int P>
void matmul_panels(const MatmulInt8Args& args) {
  constexpr int kRows = max_rows<P>();
  const int64_t rows = args.common.rows, tiles = (rows + kRows - 1) / kRows;
  const int64_t panel_bytes = (args.common.in_features + 3) / 4 * P * kLanes * 4;
  for (int64_t panel = args.common.panel_begin; panel < args.common.panel_end; ++panel) {
    const bool last = panel + 1 == args.common.panel_end;
    const auto* next = reinterpret_cast<const float*>(args.panels + (panel + 1) * panel_bytes);
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = rows * t / tiles;
      const Ahead ahead = last ? Ahead{} : share_ahead(next, panel_bytes / 4, t, tiles);
      rows_of<P, kRows>(args, row, rows * (t + 1) / tiles - row, panel, ahead);
    }
  }
}

void matmul_int8(const MatmulInt8Args& args) {
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

FASTSEQ_REGISTER(matmul_int8) {
  table.int8_vectors = 4;
  table.matmul_int8 = matmul_int8;
}

}  // namespace fastseq
