// The recurrent cells with options: cell_update, and the layers made of it.
#include <algorithm>

#include "arrays.h"
#include "layers/variant_recurrent.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr CellUpdate kUpdates[] = {CellUpdate::kRnn,        CellUpdate::kLstm, CellUpdate::kLstmCell,
                                   CellUpdate::kLstmOutput, CellUpdate::kGru,  CellUpdate::kGruReset,
                                   CellUpdate::kGruOutput,  CellUpdate::kSru,  CellUpdate::kSsru,
                                   CellUpdate::kProduct};
constexpr CellActivation kSigmoid{GateActivation::kSigmoid, 0, 0}, kTanh{GateActivation::kTanh, 0, 0};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// One pass over `rows` rows of `size` units.
struct Pass {
  CellUpdate update;
  int64_t rows, size;
  bool coupled = false;
  float clip = kInf, cell_clip = kInf;
  Floats x, s, hidden, cell, peephole, skip, output;

  Pass(CellUpdate u, int64_t r, int64_t n)
      : update(u),
        rows(r),
        size(n),
        x(random_floats(4 * r * n, 1, -2, 2)),
        s(random_floats(4 * r * n, 2, -2, 2)),
        hidden(random_floats(r * n, 3)),
        cell(random_floats(r * n, 4, -2, 2)),
        peephole(random_floats(3 * n, 5)),
        skip(random_floats(r * n, 6)),
        output(random_floats(r * n, 7)) {}

  /// Output, c' and the gates as they are left.
  Floats run(const KernelTable& table) const {
    Pass copy = *this;
    CellArgs args;
    args.update = update;
    args.rows = rows;
    args.size = size;
    args.input_gates = copy.x.data();
    args.hidden_gates = copy.s.data();
    args.input_stride = args.hidden_stride = 4 * size;
    args.hidden = copy.hidden.data();
    args.cell = copy.cell.data();
    args.peephole = copy.peephole.data();
    args.skip = copy.skip.data();
    args.skip_stride = size;
    args.skip_scale = 1.5f;
    args.output = copy.output.data();
    args.f = kSigmoid;
    args.g = args.h = kTanh;
    args.coupled = coupled;
    args.clip = clip;
    args.cell_clip = cell_clip;
    table.cell_update(args);
    copy.output.insert(copy.output.end(), copy.cell.begin(), copy.cell.end());
    copy.output.insert(copy.output.end(), copy.x.begin(), copy.x.end());
    return copy.output;
  }

  Doubles exact() const {
    Doubles out(output.begin(), output.end()), c(cell.begin(), cell.end()), gates(x.begin(), x.end());
    for (int64_t i = 0; i < rows * size; ++i) {
      const int64_t row = i / size, unit = i % size;
      const auto at = static_cast<std::size_t>(i);
      const auto gate = [&](int64_t g) { return static_cast<std::size_t>(row * 4 * size + g * size + unit); };
      const auto sum = [&](int64_t g) { return static_cast<double>(x[gate(g)]) + s[gate(g)]; };
      const auto look = [&](int64_t p, double v) { return peephole[static_cast<std::size_t>(p * size + unit)] * v; };
      const auto clamp = [](double v, float bound) {
        return std::clamp(v, -static_cast<double>(bound), static_cast<double>(bound));
      };
      const auto f = [&](double v) { return sigmoid(clamp(v, clip)); };
      const auto g = [&](double v) { return std::tanh(clamp(v, clip)); };
      const double old = c[at], h = hidden[at];
      switch (update) {
        case CellUpdate::kRnn:
          out[at] = f(sum(0));
          break;
        case CellUpdate::kLstm:
        case CellUpdate::kLstmCell: {
          const double in = f(sum(0) + look(0, old)), forget = coupled ? 1 - in : f(sum(1) + look(1, old));
          const int64_t n = coupled ? 1 : 2;
          c[at] = clamp(forget * old + in * g(sum(n)), cell_clip);
          out[at] = f(sum(n + 1) + look(n, c[at])) * (update == CellUpdate::kLstm ? std::tanh(c[at]) : 1);
          break;
        }
        case CellUpdate::kLstmOutput:
          out[at] *= std::tanh(old);
          break;
        case CellUpdate::kGru: {
          const double z = f(sum(1)), n = g(x[gate(2)] + f(sum(0)) * s[gate(2)]);
          out[at] = (1 - z) * n + z * h;
          break;
        }
        case CellUpdate::kGruReset:
          out[at] = f(sum(0)) * h;
          gates[gate(1)] = f(sum(1));
          break;
        case CellUpdate::kGruOutput: {
          const double z = x[gate(1)], n = g(static_cast<double>(x[gate(2)]) + s[gate(0)]);
          out[at] = (1 - z) * n + z * h;
          break;
        }
        case CellUpdate::kSru: {
          const double forget = f(x[gate(1)] + look(0, old)), r = f(x[gate(2)] + look(1, old));
          c[at] = forget * old + (1 - forget) * x[gate(0)];
          out[at] = r * std::tanh(c[at]) + (1 - r) * 1.5 * skip[at];
          break;
        }
        case CellUpdate::kSsru: {
          const double forget = f(x[gate(1)]);
          c[at] = forget * old + (1 - forget) * x[gate(0)];
          out[at] = std::tanh(c[at]);
          break;
        }
        case CellUpdate::kProduct:
          out[at] = static_cast<double>(x[gate(0)]) * s[gate(0)];
          break;
      }
    }
    out.insert(out.end(), c.begin(), c.end());
    out.insert(out.end(), gates.begin(), gates.end());
    return out;
  }
};

/// A stack of LSTMs with projection, peepholes and layer norms, or of SSRUs.
struct Stack {
  std::vector<Floats> storage;
  int64_t input = 7, hidden = 19, state, directions;

  Stack(bool lstm, int64_t d) : state(lstm ? 5 : 19), directions(d) { storage.reserve(64); }
  const float* random(int64_t size) {
    storage.push_back(random_floats(size, storage.size() + 10, -0.4f, 0.4f));
    return storage.back().data();
  }
  VariantRecurrent make(VariantKind kind, bool residual) {
    VariantOptions options;
    options.kind = kind;
    std::vector<VariantWeights> weights;
    for (int64_t i = 0; i < 2 * directions; ++i) {
      const int64_t rows = options.gates() * hidden, columns = i < directions ? input : directions * state;
      VariantWeights w;
      w.f = kSigmoid;
      w.g = w.h = kTanh;
      w.weight_ih = random(rows * columns);
      w.bias_ih = random(rows);
      if (options.has_hidden()) {
        w.weight_hh = random(rows * state);
        w.bias_hh = random(rows);
        w.weight_hr = random(state * hidden);
        w.weight_peep = random(3 * hidden);
        w.norm_ih = random(rows);
        w.norm_hh = random(rows);
        w.norm_c = random(hidden);
      }
      weights.push_back(w);
    }
    return VariantRecurrent(options, weights, input, hidden, state, directions == 2, residual);
  }
};

}  // namespace

TEST(cell_updates_agree_with_double_and_on_every_instruction_set) {
  for (const CellUpdate update : kUpdates) {
    for (const int64_t size : {1, 7, 8, 15, 16, 17, 33}) {
      for (const int variant : {0, 1, 2}) {
        Pass pass(update, 3, size);
        pass.coupled = variant == 1;
        if (variant == 2) pass.clip = 0.7f, pass.cell_clip = 0.5f;
        const std::string where = "update " + std::to_string(static_cast<int>(update)) + " size " +
                                  std::to_string(size) + " variant " + std::to_string(variant);
        std::string problem;
        const Floats result = run_all([&](const KernelTable& table) { return pass.run(table); }, problem, where);
        CHECK_OK(problem);
        // Numbers up to 8 through at most ten operations, two of them functions within 3 ulp.
        CHECK_OK(excess(result, pass.exact(), Doubles(result.size(), 128 * kUnitRoundoff), where));
      }
    }
  }
}

TEST(activations_of_gates_agree_on_every_instruction_set) {
  Floats x = random_floats(61, 1, -12, 12);
  for (const float special : {0.0f, -0.0f, kInf, -kInf, kNan, 90.0f, -90.0f, 1e-30f}) x.push_back(special);
  for (int function = 0; function <= static_cast<int>(GateActivation::kExp); ++function) {
    std::string problem;
    const auto run = [&](const KernelTable& table) {
      Floats gates = x, zeros(x.size()), output(x.size());
      CellArgs args;
      args.rows = 1;
      args.size = static_cast<int64_t>(x.size());
      args.input_gates = gates.data();
      args.hidden_gates = zeros.data();
      args.output = output.data();
      args.f = {static_cast<GateActivation>(function), 0.75f, 0.5f};
      table.cell_update(args);
      return output;
    };
    const Floats result = run_all(run, problem, "activation " + std::to_string(function));
    CHECK_OK(problem);
    CHECK(std::isnan(result[65]));
  }
}

TEST(layers_with_options_are_the_same_everywhere_and_step_by_step) {
  const std::string isa_before = kernels().isa;
  const int threads_before = num_threads();
  for (const VariantKind kind : {VariantKind::kLstm, VariantKind::kSsru}) {
    for (const int64_t directions : {1, 2}) {
      const std::vector<int64_t> offsets{0, 9, 9, 150, 153, 453};
      const int64_t batch = 5;
      Stack stack(kind == VariantKind::kLstm, directions);
      const int64_t states = 2 * directions;
      const Floats input = random_floats(offsets.back() * stack.input, 1), h0 = random_floats(states * batch * 19, 2);
      const bool hidden = kind == VariantKind::kLstm;
      Floats first;
      for (const auto isa : available_isas()) {
        use_isa(isa);
        Stack own(hidden, directions);
        const VariantRecurrent layer = own.make(kind, true);
        for (const int threads : {1, 2, 5}) {
          set_num_threads(threads);
          Floats output(static_cast<std::size_t>(offsets.back() * layer.output_size()));
          Floats h_n(static_cast<std::size_t>(states * batch * layer.state_size()));
          Floats c_n(static_cast<std::size_t>(states * batch * layer.hidden_size()));
          layer.forward(input.data(), offsets.data(), batch, hidden ? h0.data() : nullptr, h0.data(), output.data(),
                        hidden ? h_n.data() : nullptr, c_n.data());
          if (directions == 1) {
            // The last sequence alone, one step after the other.
            Floats h(static_cast<std::size_t>(2 * layer.state_size()), 0.0f);
            Floats c(static_cast<std::size_t>(2 * layer.hidden_size()), 0.0f);
            for (int64_t l = 0; l < 2; ++l) {
              std::copy_n(&h0[static_cast<std::size_t>((l * batch + 4) * layer.state_size())], layer.state_size(),
                          &h[static_cast<std::size_t>(l * layer.state_size())]);
              std::copy_n(&h0[static_cast<std::size_t>((l * batch + 4) * layer.hidden_size())], layer.hidden_size(),
                          &c[static_cast<std::size_t>(l * layer.hidden_size())]);
            }
            Floats y(static_cast<std::size_t>(layer.output_size()));
            for (int64_t t = 153; t < 453; ++t) {
              layer.step(&input[static_cast<std::size_t>(t * stack.input)], 1, hidden ? h.data() : nullptr, c.data(),
                         y.data());
              const auto at = static_cast<std::ptrdiff_t>(t * layer.output_size());
              CHECK(std::equal(y.begin(), y.end(), output.begin() + at));
            }
          }
          output.insert(output.end(), h_n.begin(), h_n.end());
          output.insert(output.end(), c_n.begin(), c_n.end());
          if (first.empty()) first = output;
          CHECK_OK(difference(output, first, std::string(isa) + " threads " + std::to_string(threads)));
        }
      }
    }
  }
  use_isa(isa_before);
  set_num_threads(threads_before);
}
