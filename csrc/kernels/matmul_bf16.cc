// Dense layers with bfloat16 weights (layout: MatmulBf16Args in args.h).
//
// A weight is widened by a shift, which is exact, and multiplied in float32: each output is the chain of fma over k
// ascending that a float32 weight of the same numbers gives, bit for bit.
#include "kernels/ahead.h"
#include "kernels/matmul_epilogue.h"
#include "kernels/matmul_tile.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

/// Panels taken at once by a tile of few rows: about eight independent chains hide the latency of fma.
template <int P, int R>
constexpr int kPanels = R* P <= 2   ? 4
                        : R* P <= 4 ? 2
                                    : 1;

/// Products of k in [begin, begin + count).
struct Block {
  int64_t begin, count;
  bool first, last;
};

/// The sums with which a tile starts its block: the bias, or what is in the output.
template <int R, int P, int Q>
FASTSEQ_ALWAYS_INLINE void start_tile(const MatmulBf16Args& args, const Block& block, int64_t row, int64_t column,
                                      F32 (&sum)[R][Q][P]) {
  const MatmulArgs& common = args.common;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t at = column + (q * P + p) * kLanes, left = common.out_features - at;
        F32 start = broadcast(0.0f);
        if (args.accumulate || !block.first) {
          const float* from = common.output + (row + r) * common.output_stride + at;
          start = left >= kLanes ? load(from) : load_partial(from, left);
        } else if (common.bias != nullptr) {
          start = load(common.bias + at);
        }
        sum[r][q][p] = start;
      }
    }
  }
}

template <int R, int P, int Q>
FASTSEQ_ALWAYS_INLINE void store_tile(const MatmulBf16Args& args, const Block& block, int64_t row, int64_t column,
                                      const F32 (&sum)[R][Q][P]) {
  const MatmulArgs& common = args.common;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t at = column + (q * P + p) * kLanes, left = common.out_features - at;
        float* to = common.output + (row + r) * common.output_stride + at;
        if (left >= kLanes) {
          store(to, sum[r][q][p]);
        } else {
          store_partial(to, sum[r][q][p], left);
        }
      }
    }
  }
  if (block.last && common.activation != Activation::kNone) {
    const int64_t left = common.out_features - column, width = Q * P * kLanes;
    activate_tile(common.activation, common.output + row * common.output_stride + column, common.output_stride, R,
                  left < width ? left : width);
  }
}

/// Few rows: each weight is widened where it is used, both of a pair after one reading. A line of the panel after these
/// is fetched with every pair.
template <int R, int P, int Q>
void tile(const MatmulBf16Args& args, int64_t row, int64_t panel, Ahead ahead) {
  constexpr int64_t kWidth = P * kLanes;
  const MatmulArgs& common = args.common;
  const int64_t count = common.in_features, stride = common.input_stride;
  const int64_t panel_stride = (count + 1) / 2 * kWidth, column = panel * kWidth;
  const Block whole{0, count, true, true};
  const float* input = common.input + row * stride;
  const uint32_t* weights = args.panels + panel * panel_stride;
  F32 sum[R][Q][P];
  start_tile<R, P, Q>(args, whole, row, column, sum);
  for (int64_t k = 0; k + 1 < count; k += 2, weights += kWidth) {
    if (k / 2 < ahead.lines) prefetch(ahead.from + k / 2 * kLineFloats);
    F32 x[2][R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      x[0][r] = broadcast(input[r * stride + k]);
      x[1][r] = broadcast(input[r * stride + k + 1]);
    }
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const uint32_t* at = weights + q * panel_stride + p * kLanes;
        const F32 low = load_low_halves(at), high = load_high_halves(at);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r][q][p] = fma(x[1][r], high, fma(x[0][r], low, sum[r][q][p]));
      }
    }
  }
  if (count % 2 == 1) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const F32 low = load_low_halves(weights + q * panel_stride + p * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          sum[r][q][p] = fma(broadcast(input[r * stride + count - 1]), low, sum[r][q][p]);
        }
      }
    }
  }
  store_tile<R, P, Q>(args, whole, row, column, sum);
}

/// The share of tile t of what to fetch: `words` from the k of a panel on, where there is anything.
template <int P>
Ahead words_ahead(const MatmulBf16Args& args, int64_t panel, int64_t k, int64_t words, int64_t t, int64_t tiles) {
  constexpr int64_t kWidth = P * kLanes;
  const int64_t pairs = (args.common.in_features + 1) / 2, first = (panel * pairs + k / 2) * kWidth;
  const int64_t left = args.common.panel_end * pairs * kWidth - first;
  return share_ahead(reinterpret_cast<const float*>(args.panels + first), words < left ? words : left, t, tiles);
}

template <int P>
Ahead panel_ahead(const MatmulBf16Args& args, int64_t panel) {
  return words_ahead<P>(args, panel, 0, (args.common.in_features + 1) / 2 * P * kLanes, 0, 1);
}

/// `height` rows of some panels; takes as many panels at once as suit the height.
template <int P, int R>
void rows_of(const MatmulBf16Args& args, int64_t row, int64_t height, int64_t begin, int64_t end) {
  if constexpr (R > 0) {
    if (height != R) return rows_of<P, R - 1>(args, row, height, begin, end);
    constexpr int Q = kPanels<P, R>;
    int64_t panel = begin;
    for (; panel + Q <= end; panel += Q) tile<R, P, Q>(args, row, panel, panel_ahead<P>(args, panel + Q));
    if constexpr (Q > 1) {
      for (; panel < end; ++panel) tile<R, P, 1>(args, row, panel, panel_ahead<P>(args, panel + 1));
    }
  }
}

/// More rows pass over a block of a panel that has been widened for them, in the first-level cache.
constexpr int64_t kWideSize = 8192;

template <int P, int R>
void wide_rows_of(const MatmulBf16Args& args, const Block& block, int64_t row, int64_t height, int64_t panel,
                  const float* wide, Ahead ahead) {
  if constexpr (R > 0) {
    if (height != R) return wide_rows_of<P, R - 1>(args, block, row, height, panel, wide, ahead);
    const MatmulArgs& common = args.common;
    Tile<R, P> tile;
    start_tile<R, P, 1>(args, block, row, panel * P * kLanes, tile.sum);
    tile.multiply(common.input + row * common.input_stride + block.begin, common.input_stride, wide, 0, block.count,
                  P * kLanes, ahead);
    store_tile<R, P, 1>(args, block, row, panel * P * kLanes, tile.sum);
  }
}

template <int P>
void wide_panel(const MatmulBf16Args& args, int64_t panel) {
  constexpr int kRows = max_rows<P>();
  constexpr int64_t kWidth = P * kLanes, kBlock = kWideSize / kWidth;  // even
  const int64_t rows = args.common.rows, count = args.common.in_features, tiles = (rows + kRows - 1) / kRows;
  const uint32_t* weights = args.panels + panel * ((count + 1) / 2) * kWidth;
  float wide[kWideSize];
  int64_t begin = 0;
  do {  // at least once: without inputs the output is the bias
    const int64_t end = begin + kBlock < count ? begin + kBlock : count;
    for (int64_t k = begin; k < end; k += 2) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        float* to = wide + (k - begin) * kWidth + p * kLanes;
        store(to, load_low_halves(weights + k / 2 * kWidth + p * kLanes));
        if (k + 1 < end) store(to + kWidth, load_high_halves(weights + k / 2 * kWidth + p * kLanes));
      }
    }
    const Block block{begin, end - begin, begin == 0, end == count};
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = rows * t / tiles;
      const Ahead ahead = words_ahead<P>(args, panel, end, kWideSize / 2, t, tiles);
      wide_rows_of<P, kRows>(args, block, row, rows * (t + 1) / tiles - row, panel, wide, ahead);
    }
    begin = end;
  } while (begin < count);
}

template <int P>
void matmul_panels(const MatmulBf16Args& args) {
  constexpr int kRows = max_rows<P>();
  const int64_t begin = args.common.panel_begin, end = args.common.panel_end;
  if (args.common.rows <= kRows) return rows_of<P, kRows>(args, 0, args.common.rows, begin, end);
  for (int64_t panel = begin; panel < end; ++panel) wide_panel<P>(args, panel);
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
#if defined(FASTSEQ_ISA_AVX512) || defined(FASTSEQ_ISA_NEON)
  table.bf16_vectors = 4;
#else
  table.bf16_vectors = 2;
#endif
  table.matmul_bf16 = matmul_bf16;
}

}  // namespace fastseq
