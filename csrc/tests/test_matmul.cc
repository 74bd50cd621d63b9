// matmul: output = activation(bias + input @ weight^T) with packed weights.
#include <algorithm>

#include "arrays.h"
#include "layers/linear.h"
#include "layers/packed.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

struct Problem {
  int64_t rows, in, out;
  Floats input, weight, bias;

  Problem(int64_t r, int64_t i, int64_t o)
      : rows(r),
        in(i),
        out(o),
        input(random_floats(r * i, 1)),
        weight(random_floats(o * i, 2)),
        bias(random_floats(o, 3)) {}
  std::string text() const { return std::to_string(rows) + " x " + std::to_string(in) + " x " + std::to_string(out); }
};

/// The kernel on rows that lie `gap` floats apart, in panels of `vectors` vectors; what lies between and
/// behind the outputs must stay as it was.
Floats multiply(const KernelTable& table, const Problem& problem, const PackedMatrix& packed, bool with_bias,
                Activation activation, int64_t gap) {
  Floats spread(static_cast<std::size_t>(problem.rows * (problem.in + gap)), kNan);
  for (int64_t r = 0; r < problem.rows; ++r) {
    std::copy_n(problem.input.begin() + r * problem.in, problem.in, spread.begin() + r * (problem.in + gap));
  }
  if (!spread.empty()) spread.resize(spread.size() - static_cast<std::size_t>(gap));  // no gap behind the last row
  Unaligned input(spread, 1);
  auto bias = Buffer<float>::zeros(packed.panel_count() * packed.width());
  std::copy(problem.bias.begin(), problem.bias.end(), bias.data());
  Floats output(static_cast<std::size_t>(problem.rows * (problem.out + gap)), 77.0f);

  MatmulArgs args;
  args.input = input.data();
  args.rows = problem.rows;
  args.input_stride = problem.in + gap;
  args.panels = packed.panels();
  args.vectors = packed.vectors();
  args.in_features = problem.in;
  args.out_features = problem.out;
  args.panel_end = packed.panel_count();
  args.bias = with_bias ? bias.data() : nullptr;
  args.output = output.data();
  args.output_stride = problem.out + gap;
  args.activation = activation;
  table.matmul(args);

  Floats dense;
  for (int64_t r = 0; r < problem.rows; ++r) {
    const auto row = output.begin() + r * (problem.out + gap);
    dense.insert(dense.end(), row, row + problem.out);
    for (int64_t i = problem.out; i < problem.out + gap; ++i) CHECK_EQ(row[i], 77.0f);
  }
  return dense;
}

Floats multiply(const KernelTable& table, const Problem& problem, bool with_bias = true,
                Activation activation = Activation::kNone, int64_t gap = 0) {
  const auto packed = PackedMatrix::dense(table, problem.weight.data(), problem.out, problem.in);
  return multiply(table, problem, packed, with_bias, activation, gap);
}

/// One chain of fma over k ascending from the bias: what every kernel has to give, to the bit.
Floats chains(const Problem& problem, bool with_bias) {
  Floats output;
  for (int64_t r = 0; r < problem.rows; ++r) {
    for (int64_t o = 0; o < problem.out; ++o) {
      float sum = with_bias ? problem.bias[static_cast<std::size_t>(o)] : 0.0f;
      for (int64_t k = 0; k < problem.in; ++k) {
        sum = std::fma(problem.input[static_cast<std::size_t>(r * problem.in + k)],
                       problem.weight[static_cast<std::size_t>(o * problem.in + k)], sum);
      }
      output.push_back(sum);
    }
  }
  return output;
}

}  // namespace

TEST(every_output_of_matmul_is_one_chain_of_fma) {
  for (const int64_t rows : {1, 2, 3, 5, 6, 7, 8, 9, 13, 16, 17}) {
    for (const int64_t in : {0, 1, 7, 16, 33}) {
      for (const int64_t out : {1, 3, 4, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 200}) {
        const Problem problem(rows, in, out);
        for (const bool with_bias : {true, false}) {
          const Floats expected = chains(problem, with_bias);
          for_each_isa([&](const KernelTable& table) {
            CHECK_OK(difference(multiply(table, problem, with_bias), expected, problem.text() + " " + table.isa));
          });
        }
      }
    }
  }
}

TEST(matmul_hands_long_chains_on_between_blocks) {
  for (const int64_t in : {511, 512, 513, 767, 768, 769, 1024, 1500, 2049}) {
    for (const int64_t rows : {1, 2, 9}) {
      const Problem problem(rows, in, 75);
      const Floats expected = chains(problem, true);
      for_each_isa([&](const KernelTable& table) {
        CHECK_OK(difference(multiply(table, problem), expected, problem.text() + " " + table.isa));
      });
    }
  }
}

TEST(matmul_respects_strides_and_writes_nothing_between_rows) {
  for (const int64_t rows : {1, 2, 7}) {
    for (const int64_t out : {5, 64, 100}) {
      const Problem problem(rows, 40, out);
      for_each_isa([&](const KernelTable& table) {
        CHECK_OK(difference(multiply(table, problem, true, Activation::kNone, 3), chains(problem, true), table.isa));
      });
    }
  }
}

TEST(matmul_takes_panels_of_one_to_four_vectors) {
  for (const int64_t rows : {1, 2, 3, 4, 8, 11}) {
    const Problem problem(rows, 19, 150);
    const Floats expected = chains(problem, true);
    for_each_isa([&](const KernelTable& table) {
      for (int vectors = 1; vectors <= 4; ++vectors) {
        KernelTable other = table;
        other.matmul_vectors = vectors;
        const auto packed = PackedMatrix::dense(other, problem.weight.data(), problem.out, problem.in);
        CHECK_OK(difference(multiply(table, problem, packed, true, Activation::kNone, 0), expected, table.isa));
      }
    });
  }
}

TEST(matmul_activates_what_the_elementwise_kernels_would) {
  const Problem problem(7, 600, 37);
  const Floats plain = chains(problem, true);
  for_each_isa([&](const KernelTable& table) {
    const struct {
      Activation activation;
      void (*kernel)(const float*, int64_t, float*);
    } cases[] = {{Activation::kRelu, table.relu},
                 {Activation::kGelu, table.gelu},
                 {Activation::kGeluTanh, table.gelu_tanh},
                 {Activation::kSilu, table.silu},
                 {Activation::kTanh, table.tanh}};
    for (const auto& c : cases) {
      Floats expected(plain.size());
      c.kernel(plain.data(), static_cast<int64_t>(plain.size()), expected.data());
      CHECK_OK(difference(multiply(table, problem, true, c.activation), expected, table.isa));
    }
  });
}

TEST(nan_and_infinity_stay_in_their_own_row) {
  Problem problem(9, 20, 40);
  const Floats before = chains(problem, true);
  problem.input[4 * 20 + 3] = kNan;
  problem.input[6 * 20 + 3] = kInf;
  for_each_isa([&](const KernelTable& table) {
    const Floats after = multiply(table, problem);
    for (std::size_t i = 0; i < after.size(); ++i) {
      const std::size_t row = i / 40;
      if (row == 4) {
        CHECK(std::isnan(after[i]));
      } else if (row == 6) {
        CHECK(std::isinf(after[i]));
      } else {
        CHECK(same(after[i], before[i]));
      }
    }
  });
}

TEST(matmul_is_within_the_error_bound_of_its_sums) {
  const Problem problem(4, 1000, 70);
  Doubles exact, bound;
  for (std::size_t r = 0; r < 4; ++r) {
    for (std::size_t o = 0; o < 70; ++o) {
      double sum = problem.bias[o], magnitude = std::fabs(sum);
      for (std::size_t k = 0; k < 1000; ++k) {
        const double product = static_cast<double>(problem.input[r * 1000 + k]) * problem.weight[o * 1000 + k];
        sum += product;
        magnitude += std::fabs(product);
      }
      exact.push_back(sum);
      bound.push_back(rounding(1000) * magnitude);
    }
  }
  for_each_isa([&](const KernelTable& table) { CHECK_OK(excess(multiply(table, problem), exact, bound, table.isa)); });
}

TEST(a_linear_layer_gives_the_same_bits_for_any_batch_and_number_of_threads) {
  const int before = num_threads();
  const std::string isa = kernels().isa;
  for_each_isa([&](const KernelTable& table) {
    use_isa(table.isa);
    const Problem problem(500, 130, 300);
    const Linear linear(problem.weight.data(), problem.bias.data(), problem.out, problem.in);
    set_num_threads(1);
    Floats expected(500 * 300);
    for (int64_t r = 0; r < 500; ++r) {
      linear.forward(problem.input.data() + r * 130, 1, expected.data() + r * 300, Activation::kTanh);
    }
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      Floats output(500 * 300);
      linear.forward(problem.input.data(), 500, output.data(), Activation::kTanh);
      CHECK_OK(difference(output, expected, std::string(table.isa) + ", threads " + std::to_string(threads)));
    }
  });
  use_isa(isa);
  set_num_threads(before);
}
