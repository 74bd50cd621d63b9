// recurrent_step: one time step of a recurrent layer.
#include <algorithm>

#include "arrays.h"
#include "layers/packed.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr double u = kUnitRoundoff;

int gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// One step of all rows; `gates` (rows, gates, H) stands for bias + W_ih x.
struct Step {
  Cell cell;
  int64_t rows, size, gap;  // rows of states lie size + gap apart
  Floats gates, weight, bias_n, hidden, state;

  Step(Cell c, int64_t r, int64_t h, int64_t g)
      : cell(c),
        rows(r),
        size(h),
        gap(g),
        gates(random_floats(r * gates_of(c) * h, 1, -2.0f, 2.0f)),
        weight(random_floats(gates_of(c) * h * h, 2, -0.5f, 0.5f)),
        bias_n(random_floats(h, 3)),
        hidden(random_floats(r * h, 4)),
        state(random_floats(r * h, 5, -2.0f, 2.0f)) {}
  std::string text() const {
    return "cell " + std::to_string(static_cast<int>(cell)) + " rows " + std::to_string(rows) + " size " +
           std::to_string(size);
  }
};

Floats spread(const Step& s, const Floats& dense) {
  Floats values(static_cast<std::size_t>(s.rows * (s.size + s.gap)), 77.0f);
  for (int64_t r = 0; r < s.rows; ++r) {
    std::copy_n(dense.begin() + r * s.size, s.size, values.begin() + r * (s.size + s.gap));
  }
  return values;
}

/// h' and behind it c', both (rows, size + gap).
Floats run(const KernelTable& table, const Step& s, int64_t parts = 1, bool descending = false) {
  const int gates = gates_of(s.cell);
  const auto packed = PackedMatrix::gated(table, s.weight.data(), gates, s.size, s.size);
  const int64_t width = packed.panel_count() * packed.width();
  auto interleaved = Buffer<float>::zeros(s.rows * width);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t i = 0; i < gates * s.size; ++i) {
      const int64_t unit = i % s.size, gate = i / s.size;
      interleaved[r * width + (unit / table.lanes * gates + gate) * table.lanes + unit % table.lanes] =
          s.gates[static_cast<std::size_t>(r * gates * s.size + i)];
    }
  }
  auto bias_n = Buffer<float>::zeros(packed.panel_count() * table.lanes);
  std::copy(s.bias_n.begin(), s.bias_n.end(), bias_n.data());
  const Floats hidden = spread(s, s.hidden);
  Floats state = spread(s, s.state), output(hidden.size(), 77.0f);
  for (int64_t part = 0; part < parts; ++part) {
    RecurrentStepArgs args;
    args.cell = s.cell;
    args.rows = s.rows;
    args.hidden_size = s.size;
    args.panel_begin = packed.panel_count() * part / parts;
    args.panel_end = packed.panel_count() * (part + 1) / parts;
    args.descending = descending;
    args.panels = packed.panels();
    args.bias_n = bias_n.data();
    args.gates = interleaved.data();
    args.gates_stride = width;
    args.hidden = hidden.data();
    args.cell_state = state.data();
    args.output = output.data();
    args.hidden_stride = args.cell_stride = args.output_stride = s.size + s.gap;
    table.recurrent_step(args);
  }
  output.insert(output.end(), state.begin(), state.end());
  return output;
}

/// The same in double with first-order error bounds: a sum of n products errs by rounding(n) times its
/// magnitude, sigmoid passes on a quarter of an error and tanh all of it, each adding 3 ulp (6 u) of its own.
void exact(const Step& s, Doubles& value, Doubles& bound) {
  const int64_t gates = gates_of(s.cell), n = s.size + s.gap;
  value.assign(static_cast<std::size_t>(2 * s.rows * n), 77.0);
  bound.assign(value.size(), 0.0);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t unit = 0; unit < s.size; ++unit) {
      double sum[4], error[4];
      for (int64_t g = 0; g < gates; ++g) {
        const float given = s.gates[static_cast<std::size_t>((r * gates + g) * s.size + unit)];
        sum[g] = s.cell == Cell::kGru && g == 2 ? s.bias_n[static_cast<std::size_t>(unit)] : given;
        double magnitude = std::fabs(sum[g]);
        for (int64_t k = 0; k < s.size; ++k) {
          const double product =
              static_cast<double>(s.weight[static_cast<std::size_t>((g * s.size + unit) * s.size + k)]) *
              s.hidden[static_cast<std::size_t>(r * s.size + k)];
          sum[g] += product;
          magnitude += std::fabs(product);
        }
        error[g] = rounding(static_cast<double>(s.size)) * magnitude;
      }
      const auto h = static_cast<std::size_t>(r * n + unit), c = static_cast<std::size_t>((s.rows + r) * n + unit);
      const double before = s.state[static_cast<std::size_t>(r * s.size + unit)];
      const double own = 6 * u;
      value[c] = before;
      if (s.cell == Cell::kLstm) {
        value[c] = sigmoid(sum[1]) * before + sigmoid(sum[0]) * std::tanh(sum[2]);
        bound[c] = std::fabs(before) * (error[1] / 4 + own) + error[0] / 4 + error[2] + 3 * own;
        value[h] = sigmoid(sum[3]) * std::tanh(value[c]);
        bound[h] = error[3] / 4 + bound[c] + 3 * own;
      } else if (s.cell == Cell::kGru) {
        const double given = s.gates[static_cast<std::size_t>((r * gates + 2) * s.size + unit)];
        const double z = sigmoid(sum[1]), reset = sigmoid(sum[0]),
                     old = s.hidden[static_cast<std::size_t>(r * s.size + unit)];
        const double next = std::tanh(given + reset * sum[2]);
        const double next_error =
            std::fabs(sum[2]) * (error[0] / 4 + own) + error[2] + 2 * u * std::fabs(given) + 2 * own;
        value[h] = (1 - z) * next + z * old;
        bound[h] = next_error + (error[1] / 4 + own) * std::fabs(old - next) + 2 * own;
      } else if (s.cell == Cell::kRnnTanh) {
        value[h] = std::tanh(sum[0]);
        bound[h] = error[0] + own;
      } else {
        value[h] = std::fmax(0.0, sum[0]);
        bound[h] = error[0];
      }
    }
  }
}

constexpr Cell kCells[] = {Cell::kRnnTanh, Cell::kRnnRelu, Cell::kLstm, Cell::kGru};

}  // namespace

TEST(a_recurrent_step_agrees_with_double_and_on_every_instruction_set) {
  for (const Cell cell : kCells) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 13, 23, 24}) {
      for (const int64_t size : {1, 3, 4, 8, 15, 16, 17, 31, 33, 64, 65, 130}) {
        const Step step(cell, rows, size, 2);
        Doubles value, bound;
        exact(step, value, bound);
        std::string problem;
        const Floats result = run_all([&](const KernelTable& t) { return run(t, step); }, problem, step.text());
        CHECK_OK(problem);
        CHECK_OK(excess(result, value, bound, step.text()));
      }
    }
  }
}

TEST(units_may_be_shared_out_in_slices_and_taken_in_either_order) {
  for (const Cell cell : kCells) {
    for (const int64_t rows : {1, 2, 6, 8}) {
      const Step step(cell, rows, 150, 0);  // eight panels at once and some left over, whatever their width
      for_each_isa([&](const KernelTable& table) {
        const Floats whole = run(table, step);
        for (const int64_t parts : {1, 2, 3, 5}) {
          CHECK_OK(difference(run(table, step, parts), whole, step.text()));
          CHECK_OK(difference(run(table, step, parts, true), whole, step.text()));
        }
      });
    }
  }
}

TEST(a_row_of_a_recurrent_step_does_not_depend_on_the_others) {
  for (const Cell cell : kCells) {
    Step all(cell, 11, 37, 0);
    for_each_isa([&](const KernelTable& table) {
      const Floats together = run(table, all);
      const int64_t width = gates_of(cell) * 37;
      for (int64_t r = 0; r < 11; ++r) {
        Step one(cell, 1, 37, 0);
        one.gates.assign(all.gates.begin() + r * width, all.gates.begin() + (r + 1) * width);
        one.hidden.assign(all.hidden.begin() + r * 37, all.hidden.begin() + (r + 1) * 37);
        one.state.assign(all.state.begin() + r * 37, all.state.begin() + (r + 1) * 37);
        const Floats alone = run(table, one);
        for (int64_t i = 0; i < 37; ++i) {
          CHECK_EQ(alone[static_cast<std::size_t>(i)], together[static_cast<std::size_t>(r * 37 + i)]);
          CHECK_EQ(alone[static_cast<std::size_t>(37 + i)], together[static_cast<std::size_t>((11 + r) * 37 + i)]);
        }
      }
    });
  }
}

TEST(saturated_gates_and_nan_in_a_recurrent_step) {
  for (const Cell cell : kCells) {
    Step step(cell, 2, 5, 0);
    for (float& gate : step.gates) gate *= 1e4f;
    step.gates[0] = kNan;
    for_each_isa([&](const KernelTable& table) {
      const Floats result = run(table, step);
      CHECK(std::isnan(result[0]));
      for (std::size_t i = 1; i < 10; ++i) CHECK(std::isfinite(result[i]));
    });
  }
}
