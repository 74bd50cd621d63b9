// The cells with options: what is left of a step when its products are done, element by element (formulas: CellUpdate
// in cell_args.h). The standard cells need no such pass, see recurrent.cc.
#include "kernels/register.h"
#include "simd/activations.h"

namespace fastseq {
namespace {

inline F32 clamp(F32 x, float low, float high) { return min(broadcast(high), max(broadcast(low), x)); }  // NaN stays

/// log(1 + e^x) = max(x, 0) + log1p(e) with e = e^-|x|, and log1p(e) = log(u) e / (u - 1) with u = 1 + e rounded
/// (Kahan).
F32 softplus(F32 x) {
  float e[kLanes], lanes[kLanes];
  store(e, exp(broadcast(0.0f) - abs(x)));
  for (int i = 0; i < kLanes; ++i) {
    const float u = 1.0f + e[i];
    lanes[i] = u == 1.0f ? e[i] : log1(u) * (e[i] / (u - 1.0f));
  }
  return select(is_nan(x), x, max(broadcast(0.0f), x) + load(lanes));
}

// Not inlined, so that there is one copy of the functions.
FASTSEQ_NOINLINE F32 activate(const CellActivation& activation, F32 x) {
  const F32 alpha = broadcast(activation.alpha), beta = broadcast(activation.beta);
  const F32 zero = broadcast(0.0f), one = broadcast(1.0f);
  switch (activation.function) {
    case GateActivation::kTanh:
      return tanh(x);
    case GateActivation::kSigmoid:
      return sigmoid(x);
    case GateActivation::kRelu:
      return min(alpha, max(zero, x));
    case GateActivation::kAffine:
      return fma(alpha, x, beta);
    case GateActivation::kLeakyRelu:
      return select(less(x, zero), alpha * x, x);
    case GateActivation::kThresholdedRelu:
      return select(greater(x, alpha), x, select(is_nan(x), x, zero));
    case GateActivation::kScaledTanh:
      return alpha * tanh(beta * x);
    case GateActivation::kHardSigmoid:
      return clamp(fma(alpha, x, beta), 0.0f, 1.0f);
    case GateActivation::kElu:
      return beta * select(less(x, zero), alpha * (exp(x) - one), x);
    case GateActivation::kSoftsign:
      return x / (one + abs(x));
    case GateActivation::kSoftplus:
      return softplus(x);
    case GateActivation::kSilu:
      return silu(x);
    case GateActivation::kGelu:
      return gelu(x);
    case GateActivation::kExp:
      return exp(x);
  }
  return x;
}

/// One row, by vectors of units; what lies beyond the last unit is read as zero and not written.
class Row {
 public:
  Row(const CellArgs& args, int64_t row) : args_(args), row_(row) {}

  void compute() {
    for (unit_ = 0; unit_ < args_.size; unit_ += kLanes) update();
  }

 private:
  F32 read(const float* row, int64_t gate = 0) const {
    const float* from = row + gate * args_.size + unit_;
    const int64_t left = args_.size - unit_;
    return left >= kLanes ? load(from) : load_partial(from, left);
  }
  void write(float* row, F32 v) const {
    const int64_t left = args_.size - unit_;
    if (left >= kLanes) {
      store(row + unit_, v);
    } else {
      store_partial(row + unit_, v, left);
    }
  }
  float* input_row() const { return args_.input_gates + row_ * args_.input_stride; }
  F32 x(int64_t gate) const { return read(input_row(), gate); }
  F32 s(int64_t gate) const { return read(args_.hidden_gates + row_ * args_.hidden_stride, gate); }
  F32 hidden() const { return read(args_.hidden + row_ * args_.size); }
  float* cell_row() const { return args_.cell + row_ * args_.size; }
  float* output_row() const { return args_.output + row_ * args_.size; }
  F32 peephole(int64_t which, F32 cell, F32 sum) const {
    return args_.peephole != nullptr ? fma(read(args_.peephole, which), cell, sum) : sum;
  }
  F32 f(F32 v) const { return activate(args_.f, clamp(v, -args_.clip, args_.clip)); }
  F32 g(F32 v) const { return activate(args_.g, clamp(v, -args_.clip, args_.clip)); }
  F32 h(F32 v) const { return activate(args_.h, v); }

  /// c' is stored; returns f(o).
  F32 lstm_cell() const {
    const F32 c = read(cell_row());
    const int64_t gate_g = args_.coupled ? 1 : 2;
    const F32 i = f(peephole(0, c, x(0) + s(0)));
    const F32 forget = args_.coupled ? broadcast(1.0f) - i : f(peephole(1, c, x(1) + s(1)));
    F32 next = fma(i, g(x(gate_g) + s(gate_g)), forget * c);
    next = clamp(next, -args_.cell_clip, args_.cell_clip);
    write(cell_row(), next);
    return f(peephole(gate_g, next, x(gate_g + 1) + s(gate_g + 1)));
  }

  void update() const {
    switch (args_.update) {
      case CellUpdate::kRnn:
        return write(output_row(), f(x(0) + s(0)));
      case CellUpdate::kLstm: {
        const F32 o = lstm_cell();
        return write(output_row(), o * h(read(cell_row())));
      }
      case CellUpdate::kLstmCell:
        return write(output_row(), lstm_cell());
      case CellUpdate::kLstmOutput:
        return write(output_row(), read(output_row()) * h(read(cell_row())));
      case CellUpdate::kGru: {
        const F32 r = f(x(0) + s(0)), z = f(x(1) + s(1));
        const F32 n = g(fma(r, s(2), x(2)));
        return write(output_row(), fma(z, hidden() - n, n));
      }
      case CellUpdate::kGruReset: {
        const F32 r = f(x(0) + s(0)), z = f(x(1) + s(1));
        write(input_row() + args_.size, z);
        return write(output_row(), r * hidden());
      }
      case CellUpdate::kGruOutput: {
        const F32 n = g(x(2) + s(0));
        return write(output_row(), fma(x(1), hidden() - n, n));
      }
      case CellUpdate::kSru: {
        const F32 c = read(cell_row()), w = x(0);
        const F32 forget = f(peephole(0, c, x(1))), r = f(peephole(1, c, x(2)));
        const F32 next = fma(forget, c - w, w);
        write(cell_row(), next);
        const F32 skip = read(args_.skip + row_ * args_.skip_stride) * broadcast(args_.skip_scale);
        return write(output_row(), fma(r, h(next) - skip, skip));
      }
      case CellUpdate::kSsru: {
        const F32 c = read(cell_row()), w = x(0);
        const F32 next = fma(f(x(1)), c - w, w);
        write(cell_row(), next);
        return write(output_row(), h(next));
      }
      case CellUpdate::kProduct:
        return write(output_row(), x(0) * s(0));
    }
  }

  const CellArgs& args_;
  const int64_t row_;
  int64_t unit_ = 0;
};

void cell_update(const CellArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) Row(args, row).compute();
}

}  // namespace

FASTSEQ_REGISTER(cell_update) { table.cell_update = cell_update; }

}  // namespace fastseq
