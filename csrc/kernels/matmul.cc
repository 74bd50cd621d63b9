// Dense layers: output = activation(bias + input @ weight^T), the weight packed in panels (see args.h).
//
// Each output is one chain of fma over k ascending that starts from its bias, whatever the tile it is computed
// in; blocks of k hand the chain on through the output, which keeps float32 exactly.
#include "kernels/matmul_epilogue.h"
#include "kernels/matmul_tile.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

// Blocks of k bound the part of a panel that all rows pass over: 512 * 64 floats are 128 KB, well inside L2.
constexpr int64_t kBlock = 512;

struct Block {
  int64_t begin, count;
  bool first, last;
};

template <int R, int P, int Q>
void tile(const MatmulArgs& args, const Block& block, int64_t row, int64_t panel, Ahead ahead) {
  constexpr int64_t kWidth = P * kLanes;
  const int64_t panel_stride = args.in_features * kWidth;
  const int64_t column = panel * kWidth;
  float* output = args.output + row * args.output_stride + column;
  const int64_t columns = args.out_features - column;  // of this tile and all behind it
  Tile<R, P, Q> tile;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t offset = q * kWidth + p * kLanes;
        if (!block.first) {
          const float* from = output + r * args.output_stride + offset;
          tile.sum[r][q][p] = columns >= Q * kWidth ? load(from) : load_partial(from, columns - offset);
        } else {
          tile.sum[r][q][p] = args.bias != nullptr ? load(args.bias + column + offset) : broadcast(0.0f);
        }
      }
    }
  }
  tile.multiply(args.input + row * args.input_stride + block.begin, args.input_stride,
                args.panels + panel * panel_stride + block.begin * kWidth, panel_stride, block.count, kWidth, ahead);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const int64_t offset = q * kWidth + p * kLanes;
        float* to = output + r * args.output_stride + offset;
        if (columns >= Q * kWidth) {
          store(to, tile.sum[r][q][p]);
        } else {
          store_partial(to, tile.sum[r][q][p], columns - offset);
        }
      }
    }
  }
  if (block.last && args.activation != Activation::kNone) {
    activate_tile(args.activation, output, args.output_stride, R, columns < Q * kWidth ? columns : Q * kWidth);
  }
}

/// All rows of one panel (Q = 1) or two (Q = 2), in tiles of nearly equal height.
template <int P, int Q, int R>
void rows_of(const MatmulArgs& args, const Block& block, int64_t row, int64_t height, int64_t panel, Ahead ahead) {
  if constexpr (R > 0) {
    if (height == R) {
      tile<R, P, Q>(args, block, row, panel, ahead);
    } else {
      rows_of<P, Q, R - 1>(args, block, row, height, panel, ahead);
    }
  }
}

template <int P>
void matmul_panels(const MatmulArgs& args) {
  constexpr int kRows = max_rows<P>();
  // Few rows: two panels at once, for enough independent chains to hide the latency of fma.
  constexpr int kPairRows = kRows / 2 < 2 ? kRows / 2 : 2;
  const int64_t tiles = (args.rows + kRows - 1) / kRows;
  int64_t begin = 0;
  do {  // at least once: with in_features 0 the output is the bias
    const int64_t left = args.in_features - begin;
    const Block block{begin, left < kBlock + kBlock / 2 ? left : kBlock, begin == 0, left < kBlock + kBlock / 2};
    for (int64_t panel = args.panel_begin; panel < args.panel_end;) {
      if (args.rows <= kPairRows && panel + 2 <= args.panel_end) {
        // Nothing ahead: fetching costs so few rows more than it brings.
        rows_of<P, 2, kPairRows>(args, block, 0, args.rows, panel, {});
        panel += 2;
        continue;
      }
      const bool last = panel + 1 == args.panel_end;
      const float* next = args.panels + ((panel + 1) * args.in_features + block.begin) * P * kLanes;
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t row = args.rows * t / tiles;
        const Ahead ahead = last ? Ahead{} : share_ahead(next, block.count * P * kLanes, t, tiles);
        rows_of<P, 1, kRows>(args, block, row, args.rows * (t + 1) / tiles - row, panel, ahead);
      }
      ++panel;
    }
    begin += block.count;
  } while (begin < args.in_features);
}

void matmul(const MatmulArgs& args) {
  switch (args.vectors) {
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

FASTSEQ_REGISTER(matmul) {
  table.lanes = kLanes;
#if defined(FASTSEQ_ISA_AVX512) || defined(FASTSEQ_ISA_NEON)
  table.matmul_vectors = 4;
#else
  table.matmul_vectors = 2;
#endif
  table.matmul = matmul;
}

}  // namespace fastseq
