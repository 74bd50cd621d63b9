// One step of a recurrent layer: the products of all gates and the cell (cells.h), without leaving the registers.
#include "kernels/cells.h"
#include "kernels/matmul_tile.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

// Sixteen registers hold 3 rows of the 4 gates of a panel, or 4 rows of 3 of its vectors; 2 rows of 4 gates would wait
// for their sums. So rows come in threes and, where these leave one or two over, in one or two fours, which take the
// twelve vectors of three panels as four times three. Five rows, which are neither, take a panel's gates by twos: one
// pass over the weights serves all rows.
template <Cell C>
constexpr bool kHasFours = kGates<C> == 4 && max_rows<4>() == 3;
constexpr int64_t kFourPanels = 3;
constexpr int64_t kMostFours = 8;  // rows taken so
constexpr int kHalvedRows = 5;
constexpr int64_t kRowsForFours = 24;  // with more, a tile of two rows costs less than taking three panels at once

// From this many tiles on each fetches its share of the next panel: the passes over a panel take long enough for that.
// With fewer the processor's own fetching is faster undisturbed.
constexpr int64_t kTilesToFetch = 4;

// A row is taken through several panels at once, for enough independent chains to hide the latency of fma. Not so the
// four gates of AVX2 where the weights come from the second or third level of the cache: four chains ask for a line
// every two cycles, which is what the second level gives; eight ask for more and, measured on Zen 3, get a quarter
// less. From memory two streams are faster again.
#if defined(FASTSEQ_ISA_AVX2)
constexpr bool kFourChainsSuffice = true;
#else
constexpr bool kFourChainsSuffice = false;  // not measured
#endif
constexpr int64_t kFirstLevel = 32 << 10, kThirdLevel = 12 << 20;

template <Cell C>
constexpr int64_t kMostOfOne = kGates<C> == 1 ? 8 : 2;

template <Cell C>
int64_t panels_of_one_row(const RecurrentStepArgs& args) {
  constexpr int64_t kBytes = kGates<C> * static_cast<int64_t>(sizeof(float));
  const int64_t all = args.hidden_size * args.hidden_size * kBytes;  // the third level is for all threads
  const int64_t own = (args.panel_end - args.panel_begin) * kLanes * args.hidden_size * kBytes;
  const bool from_cache = own > kFirstLevel && all <= kThirdLevel;
  return kFourChainsSuffice && kGates<C> == 4 && from_cache ? 1 : kMostOfOne<C>;
}

/// Where the chain of a vector of gates starts. The reset gate scales the recurrent part of n alone, so that one starts
/// from its own bias.
template <Cell C>
inline F32 start(const RecurrentStepArgs& args, int64_t row, int64_t panel, int gate) {
  if (C == Cell::kGru && gate == 2) return load(args.bias_n + panel * kLanes);
  return load(args.gates + row * args.gates_stride + (panel * kGates<C> + gate) * kLanes);
}

template <Cell C>
inline void finish(const RecurrentStepArgs& args, const F32* sum, int64_t row, int64_t panel) {
  const float* gates = args.gates + row * args.gates_stride + panel * kGates<C> * kLanes;
  const F32 h = cell<C>(args, sum, gates, row, panel * kLanes);
  store_units(args.output + row * args.output_stride, panel * kLanes, args.hidden_size, h);
}

/// From the sums of the gates of one row and panel, in memory.
template <Cell C>
inline void finish_stored(const RecurrentStepArgs& args, const float* sums, int64_t row, int64_t panel) {
  F32 sum[kGates<C>];
#pragma GCC unroll 4
  for (int p = 0; p < kGates<C>; ++p) sum[p] = load(sums + p * kLanes);
  finish<C>(args, sum, row, panel);
}

/// R rows of Q panels.
template <Cell C, int R, int Q>
void tile(const RecurrentStepArgs& args, int64_t row, int64_t panel, Ahead ahead = {}) {
  constexpr int P = kGates<C>;
  constexpr int64_t kWidth = P * kLanes;
  const int64_t panel_size = args.hidden_size * kWidth;
  Tile<R, P, Q> tile;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) tile.sum[r][q][p] = start<C>(args, row + r, panel + q, p);
    }
  }
  tile.multiply(args.hidden + row * args.hidden_stride, args.hidden_stride, args.panels + panel * panel_size,
                panel_size, args.hidden_size, kWidth, ahead);
  for (int r = 0; r < R; ++r) {
    for (int q = 0; q < Q; ++q) finish<C>(args, tile.sum[r][q], row + r, panel + q);
  }
}

/// R rows of the V vectors of gates from `First` on, counted through this panel and the next ones. `sums`, the finished
/// chains, has rows `stride` apart with the vectors of all these panels.
template <Cell C, int R, int V, int First>
void some_gates(const RecurrentStepArgs& args, int64_t row, int64_t panel, float* sums, int64_t stride) {
  constexpr int64_t kWidth = 4 * kLanes;
  const float* weights[V];
  F32 sum[R][V];
#pragma GCC unroll 3
  for (int i = 0; i < V; ++i) {
    const int q = (First + i) / 4, p = (First + i) % 4;
    weights[i] = args.panels + (panel + q) * args.hidden_size * kWidth + p * kLanes;
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) sum[r][i] = start<C>(args, row + r, panel + q, p);
  }
  const float* hidden = args.hidden + row * args.hidden_stride;
  for (int64_t k = 0; k < args.hidden_size; ++k) {
    F32 w[V];
#pragma GCC unroll 3
    for (int i = 0; i < V; ++i) w[i] = load(weights[i] + k * kWidth);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      const F32 h = broadcast(hidden[r * args.hidden_stride + k]);
#pragma GCC unroll 3
      for (int i = 0; i < V; ++i) sum[r][i] = fma(h, w[i], sum[r][i]);
    }
  }
#pragma GCC unroll 5
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int i = 0; i < V; ++i) store(sums + r * stride + (First + i) * kLanes, sum[r][i]);
  }
}

/// The first `rows` rows, four or eight, of three panels.
template <Cell C>
void fours(const RecurrentStepArgs& args, int64_t rows, int64_t panel) {
  constexpr int64_t kWidth = 4 * kLanes, kStride = kFourPanels * kWidth;
  float sums[kMostFours * kStride];
  for (int64_t r = 0; r < rows; r += 4) some_gates<C, 4, 3, 0>(args, r, panel, sums + r * kStride, kStride);
  for (int64_t r = 0; r < rows; r += 4) some_gates<C, 4, 3, 3>(args, r, panel, sums + r * kStride, kStride);
  for (int64_t r = 0; r < rows; r += 4) some_gates<C, 4, 3, 6>(args, r, panel, sums + r * kStride, kStride);
  for (int64_t r = 0; r < rows; r += 4) some_gates<C, 4, 3, 9>(args, r, panel, sums + r * kStride, kStride);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t q = 0; q < kFourPanels; ++q) finish_stored<C>(args, sums + r * kStride + q * kWidth, r, panel + q);
  }
}

template <Cell C>
void halves(const RecurrentStepArgs& args, int64_t panel) {
  constexpr int64_t kWidth = 4 * kLanes;
  float sums[kHalvedRows * kWidth];
  some_gates<C, kHalvedRows, 2, 0>(args, 0, panel, sums, kWidth);
  some_gates<C, kHalvedRows, 2, 2>(args, 0, panel, sums, kWidth);
  for (int64_t r = 0; r < kHalvedRows; ++r) finish_stored<C>(args, sums + r * kWidth, r, panel);
}

template <Cell C, int R>
void rows_of(const RecurrentStepArgs& args, int64_t row, int64_t height, int64_t panel, Ahead ahead) {
  if constexpr (R > 0) {
    if (height == R) {
      tile<C, R, 1>(args, row, panel, ahead);
    } else {
      rows_of<C, R - 1>(args, row, height, panel, ahead);
    }
  }
}

/// All R rows of the panels [panel, end), Q of them at once while there are so many.
template <Cell C, int R, int Q>
void few_rows(const RecurrentStepArgs& args, int64_t panel, int64_t end) {
  for (; panel + Q <= end; panel += Q) tile<C, R, Q>(args, 0, panel);
  if constexpr (Q > 1) few_rows<C, R, Q / 2>(args, panel, end);
}

/// Rows from `begin` on of one panel; `next` is the panel after it.
template <Cell C>
void panel_rows(const RecurrentStepArgs& args, int64_t begin, int64_t panel, const float* next) {
  constexpr int kRows = max_rows<kGates<C>>();
  const int64_t rows = args.rows - begin, tiles = (rows + kRows - 1) / kRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = begin + rows * t / tiles, height = begin + rows * (t + 1) / tiles - row;
    Ahead ahead;
    if (tiles >= kTilesToFetch) ahead = share_ahead(next, args.hidden_size * kGates<C> * kLanes, t, tiles);
    rows_of<C, kRows>(args, row, height, panel, ahead);
  }
}

/// Fetches the gates of all rows for the panels [begin, end): a row of them lies far from the next one, which the
/// processor does not foresee.
template <Cell C>
void fetch_gates(const RecurrentStepArgs& args, int64_t begin, int64_t end) {
  constexpr int64_t kWidth = kGates<C> * kLanes;
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* gates = args.gates + r * args.gates_stride;
    for (int64_t i = begin * kWidth; i < end * kWidth; i += kLineFloats) prefetch(gates + i);
  }
}

template <Cell C>
void step(const RecurrentStepArgs& args) {
  // One or two rows: several panels at once.
  constexpr int kFewRows = max_rows<kGates<C>>() / 2 < 2 ? max_rows<kGates<C>>() / 2 : 2;
  constexpr int64_t kPanelsOfTwo = kGates<C> == 1 ? 4 : 2;
  // 1, 2 and 5 are no sum of threes and fours.
  const bool in_fours =
      kHasFours<C> && args.rows > 2 && args.rows != kHalvedRows && args.rows % 3 > 0 && args.rows < kRowsForFours;
  const bool few = args.rows <= kFewRows;
  const int64_t group = !few             ? (in_fours ? kFourPanels : 1)
                        : args.rows == 1 ? panels_of_one_row<C>(args)
                                         : kPanelsOfTwo;
  const int64_t groups = (args.panel_end - args.panel_begin + group - 1) / group;
  const int64_t panel_size = args.hidden_size * kGates<C> * kLanes;
  const auto begin_of = [&](int64_t g) { return args.panel_begin + (args.descending ? groups - 1 - g : g) * group; };
  const auto end_of = [&](int64_t g) {
    return begin_of(g) + group < args.panel_end ? begin_of(g) + group : args.panel_end;
  };
  for (int64_t g = 0; g < groups; ++g) {
    int64_t panel = begin_of(g);
    const int64_t end = end_of(g);
    if (args.rows > 1) {
      if (g == 0) fetch_gates<C>(args, panel, end);
      if (g + 1 < groups) fetch_gates<C>(args, begin_of(g + 1), end_of(g + 1));
    }
    if (few) {
      if (args.rows == 1) few_rows<C, 1, kMostOfOne<C>>(args, panel, end);
      if constexpr (kFewRows > 1) {
        if (args.rows == 2) few_rows<C, 2, kPanelsOfTwo>(args, panel, end);
      }
      continue;
    }
    int64_t first_row = 0;
    if constexpr (kHasFours<C>) {
      if (args.rows == kHalvedRows) {
        halves<C>(args, panel);  // a group is one panel
        continue;
      }
      if (in_fours && end - panel == kFourPanels) fours<C>(args, first_row = args.rows % 3 * 4, panel);
    }
    for (; panel < end && first_row < args.rows; ++panel) {
      const float* current = args.panels + panel * panel_size;
      const float* next = g + 1 == groups ? current : args.descending ? current - panel_size : current + panel_size;
      panel_rows<C>(args, first_row, panel, next);
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
