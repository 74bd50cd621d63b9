// One step of a recurrent layer: the products of all gates and the cell (cells.h), without leaving the registers.
#include "kernels/cells.h"
#include "kernels/matmul_tile.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

// Lines of the next panel that a tile fetches with each k: two tiles together fetch all of it. A panel that comes
// from the third-level cache arrives while the rows pass over the one before.
template <int P>
constexpr int kLinesAhead = (P * kLanes / 16 + 1) / 2;

/// `ahead` is what to fetch for later, for one panel at a time (Q = 1).
template <Cell C, int R, int Q>
void tile(const RecurrentStepArgs& args, int64_t row, int64_t panel, const float* ahead) {
  constexpr int P = kGates<C>;
  constexpr int64_t kWidth = P * kLanes;
  const int64_t panel_stride = args.hidden_size * kWidth;
  const float* gates = args.gates + row * args.gates_stride + panel * kWidth;
  Tile<R, P, Q> tile;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        // The reset gate scales the recurrent part of n alone, so its chain starts from its own bias.
        const bool apart = C == Cell::kGru && p == 2;
        tile.sum[r][q][p] =
            load(apart ? args.bias_n + (panel + q) * kLanes : gates + r * args.gates_stride + q * kWidth + p * kLanes);
      }
    }
  }
  tile.template multiply<Q == 1 ? kLinesAhead<P> : 0>(args.hidden + row * args.hidden_stride, args.hidden_stride,
                                                      args.panels + panel * panel_stride, panel_stride,
                                                      args.hidden_size, kWidth, ahead);
  for (int r = 0; r < R; ++r) {
    for (int q = 0; q < Q; ++q) {
      const int64_t unit = (panel + q) * kLanes;
      const F32 h = cell<C>(args, tile.sum[r][q], gates + r * args.gates_stride + q * kWidth, row + r, unit);
      store_units(args.output + (row + r) * args.output_stride, unit, args.hidden_size, h);
    }
  }
}

template <Cell C, int Q, int R>
void rows_of(const RecurrentStepArgs& args, int64_t row, int64_t height, int64_t panel, const float* ahead) {
  if constexpr (R > 0) {
    if (height == R) {
      tile<C, R, Q>(args, row, panel, ahead);
    } else {
      rows_of<C, Q, R - 1>(args, row, height, panel, ahead);
    }
  }
}

template <Cell C>
void step(const RecurrentStepArgs& args) {
  constexpr int kRows = max_rows<kGates<C>>();
  constexpr int kPairRows = kRows / 2 < 2 ? kRows / 2 : 2;
  const int64_t tiles = (args.rows + kRows - 1) / kRows;
  const int64_t panel_size = args.hidden_size * kGates<C> * kLanes;
  const int64_t group = args.rows <= kPairRows ? 2 : 1;  // panels at once
  const int64_t groups = (args.panel_end - args.panel_begin + group - 1) / group;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t panel = args.panel_begin + (args.descending ? groups - 1 - g : g) * group;
    if (group == 2 && panel + 2 <= args.panel_end) {
      rows_of<C, 2, kPairRows>(args, 0, args.rows, panel, nullptr);
      continue;
    }
    const float* current = args.panels + panel * panel_size;
    const float* next = g + 1 == groups ? current : args.descending ? current - panel_size : current + panel_size;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = args.rows * t / tiles;
      const float* ahead = t < 2 ? next + t * args.hidden_size * kLinesAhead<kGates<C>> * 16 : current;
      rows_of<C, 1, kRows>(args, row, args.rows * (t + 1) / tiles - row, panel, ahead);
    }
  }
}

void recurrent_step(const RecurrentStepArgs& args) {
  switch (args.cell) {
    case Cell::kRnnTanh:
      return step<Cell::kRnnTanh>(args);
    case Cell::kRnnRelu:
      return step<Cell::kRnnRelu>(args);
    case Cell::kLstm:
      return step<Cell::kLstm>(args);
    case Cell::kGru:
      return step<Cell::kGru>(args);
  }
}

}  // namespace

FASTSEQ_REGISTER(recurrent) { table.recurrent_step = recurrent_step; }

}  // namespace fastseq
