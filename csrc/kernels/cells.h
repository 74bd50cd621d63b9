// The formulas of the recurrent cells, for one vector of units of one row.
//   LSTM (Hochreiter and Schmidhuber, 1997): c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c')
//   GRU (Cho et al., 2014; PyTorch's form): h' = (1 - z) n + z h with n = tanh(x_n + r (W_hn h + b_n))
//   RNN (Elman, 1990): h' = tanh(...) or max(0, ...)
#pragma once

#include "kernels/args.h"
#include "simd/math.h"

namespace fastseq {
namespace {

template <Cell C>
constexpr int kGates = C == Cell::kLstm  ? 4
                       : C == Cell::kGru ? 3
                                         : 1;

/// The vector of units [unit, unit + kLanes) of a row; zero beyond hidden_size.
inline F32 load_units(const float* row, int64_t unit, int64_t hidden_size) {
  const int64_t left = hidden_size - unit;
  return left >= kLanes ? load(row + unit) : load_partial(row + unit, left);
}
inline void store_units(float* row, int64_t unit, int64_t hidden_size, F32 v) {
  const int64_t left = hidden_size - unit;
  if (left >= kLanes) {
    store(row + unit, v);
  } else {
    store_partial(row + unit, v, left);
  }
}

/// The new hidden state of one row's units from the sums of its gates.
template <Cell C>
inline F32 cell(const RecurrentStepArgs& args, const F32* sum, const float* gates, int64_t row, int64_t unit) {
  if constexpr (C == Cell::kLstm) {
    float* c = args.cell_state + row * args.cell_stride;
    const F32 forget = sigmoid(sum[1]) * load_units(c, unit, args.hidden_size);
    const F32 next = fma(sigmoid(sum[0]), tanh(sum[2]), forget);
    store_units(c, unit, args.hidden_size, next);
    return sigmoid(sum[3]) * tanh(next);
  } else if constexpr (C == Cell::kGru) {
    const F32 h = load_units(args.hidden + row * args.hidden_stride, unit, args.hidden_size);
    const F32 z = sigmoid(sum[1]);
    const F32 n = tanh(fma(sigmoid(sum[0]), sum[2], load(gates + 2 * kLanes)));
    return fma(z, h - n, n);
  } else if constexpr (C == Cell::kRnnTanh) {
    return tanh(sum[0]);
  } else {
    return max(broadcast(0.0f), sum[0]);  // in this order NaN stays NaN
  }
}

}  // namespace
}  // namespace fastseq
