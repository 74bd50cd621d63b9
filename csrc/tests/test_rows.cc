// softmax, log_softmax, layer_norm and rms_norm against double, and equal on every instruction set.
#include <algorithm>

#include "arrays.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr double u = kUnitRoundoff;
const int64_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 257, 1000, 4099};
constexpr int64_t kRows = 3;

using RowKernel = void (*KernelTable::*)(const float*, int64_t, int64_t, float*);

/// The kernel's result, from input that is not aligned and ends where its memory ends.
Floats apply(const KernelTable& table, RowKernel kernel, const Floats& input, int64_t rows) {
  Unaligned x(input, 1);
  Floats y(input.size());
  (table.*kernel)(x.data(), rows, static_cast<int64_t>(input.size()) / rows, y.data());
  return y;
}

struct Softmax {
  Doubles value, log, bound, log_bound;
};

/// Relative error of a term: that of exp_nonpositive, 1.6e-7 + 1.4e-8 |d| < u (3 + |d| / 4), and its argument d = x -
/// max is rounded once; of their sum: the same weighted, plus one rounding for each addition of a lane and of the tree
/// of four.
void append_softmax(const float* x, int64_t size, Softmax& out) {
  const double largest = *std::max_element(x, x + size);
  double sum = 0, weighted = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double e = std::exp(x[i] - largest);
    sum += e;
    weighted += e * 1.25 * (largest - x[i]);
  }
  const double sum_error = weighted / sum + 3 + static_cast<double>(size) / 16 + 4;
  for (int64_t i = 0; i < size; ++i) {
    const double d = x[i] - largest, p = std::exp(d) / sum;
    out.value.push_back(p);
    out.log.push_back(d - std::log(sum));
    out.bound.push_back(p * u * (1.25 * std::fabs(d) + 3 + sum_error + 3) * 1.01 + 2e-38);
    out.log_bound.push_back(u * (std::fabs(d) + sum_error + 5 * std::log(sum) + std::fabs(out.log.back()) + 1));
  }
}

}  // namespace

TEST(softmax_and_log_softmax_agree_with_double) {
  for (const int64_t size : kSizes) {
    for (const float spread : {1.0f, 30.0f}) {
      const Floats x = random_floats(kRows * size, static_cast<uint64_t>(size), 100.0f - spread, 100.0f + spread);
      Softmax expected;
      for (int64_t r = 0; r < kRows; ++r) append_softmax(x.data() + r * size, size, expected);
      const std::string where = "size " + std::to_string(size) + " spread " + std::to_string(spread);
      std::string problem;
      const auto softmax = [&](const KernelTable& t) { return apply(t, &KernelTable::softmax, x, kRows); };
      CHECK_OK(excess(run_all(softmax, problem, where), expected.value, expected.bound, "softmax " + where));
      CHECK_OK(problem);
      const auto log = [&](const KernelTable& t) { return apply(t, &KernelTable::log_softmax, x, kRows); };
      CHECK_OK(excess(run_all(log, problem, where), expected.log, expected.log_bound, "log_softmax " + where));
      CHECK_OK(problem);
    }
  }
}

TEST(softmax_of_unusual_rows) {
  for_each_isa([](const KernelTable& table) {
    const auto softmax = [&](const Floats& x) { return apply(table, &KernelTable::softmax, x, 1); };
    const auto log_softmax = [&](const Floats& x) { return apply(table, &KernelTable::log_softmax, x, 1); };
    CHECK_OK(difference(softmax({5.0f}), {1.0f}, "one"));
    CHECK_OK(difference(log_softmax({5.0f}), {0.0f}, "one"));
    CHECK_OK(difference(softmax({-kInf, 2.0f, -kInf, 2.0f}), {0.0f, 0.5f, 0.0f, 0.5f}, "masked"));
    CHECK_EQ(log_softmax({-kInf, 2.0f})[0], -kInf);
    CHECK_OK(difference(softmax({-3e38f, 3e38f}), {0.0f, 1.0f}, "far apart"));
    for (const Floats& row : {Floats{1.0f, kNan, 2.0f}, Floats{-kInf, -kInf}, Floats{kInf, 1.0f}}) {
      for (const float y : softmax(row)) CHECK(std::isnan(y) || row[0] == kInf);
      CHECK(std::isnan(softmax(row)[0]) && std::isnan(log_softmax(row)[0]));
    }
  });
}

TEST(a_row_does_not_depend_on_the_rows_beside_it) {
  const int64_t size = 37;
  const Floats x = random_floats(5 * size, 9, -4.0f, 4.0f);
  for_each_isa([&](const KernelTable& table) {
    for (const RowKernel kernel : {&KernelTable::softmax, &KernelTable::log_softmax}) {
      const Floats all = apply(table, kernel, x, 5);
      for (int64_t r = 0; r < 5; ++r) {
        const Floats row(x.begin() + r * size, x.begin() + (r + 1) * size);
        const Floats expected(all.begin() + r * size, all.begin() + (r + 1) * size);
        CHECK_OK(difference(apply(table, kernel, row, 1), expected, "row alone"));
      }
    }
  });
}

TEST(norms_agree_with_double) {
  constexpr float kEps = 1e-5f;
  for (const int64_t size : kSizes) {
    for (const float mean : {0.0f, 50.0f}) {
      const Floats x = random_floats(kRows * size, static_cast<uint64_t>(size) + 1, mean - 2, mean + 2);
      const Floats w = random_floats(size, 2), b = random_floats(size, 3);
      for (const bool affine : {true, false}) {
        Doubles layer, layer_bound, rms, rms_bound;
        for (int64_t r = 0; r < kRows; ++r) {
          const float* row = x.data() + r * size;
          double m = 0, variance = 0, square = 0;
          for (int64_t i = 0; i < size; ++i) m += row[i] / static_cast<double>(size);
          for (int64_t i = 0; i < size; ++i) {
            variance += (row[i] - m) * (row[i] - m) / static_cast<double>(size);
            square += static_cast<double>(row[i]) * row[i] / static_cast<double>(size);
          }
          // A row sum of n terms rounds n / 16 + 4 times. The mean errs by that times the mean magnitude; it
          // moves each deviation, and the variance by its square only.
          const double sums = static_cast<double>(size) / 16 + 8;
          const double mean_error = rounding(sums) * (std::fabs(mean) + 2);
          const double sigma = std::sqrt(variance + kEps), root = std::sqrt(square + kEps);
          for (int64_t i = 0; i < size; ++i) {
            const std::size_t j = static_cast<std::size_t>(i);
            const double weight = affine ? w[j] : 1.0, bias = affine ? b[j] : 0.0;
            const double y = (row[i] - m) / sigma, z = row[i] / root;
            layer.push_back(y * weight + bias);
            const double deviation = mean_error / sigma;
            layer_bound.push_back(std::fabs(weight) *
                                      (2 * deviation + std::fabs(y) * (deviation * deviation + rounding(sums + 6))) +
                                  u * std::fabs(layer.back()));
            rms.push_back(z * weight);
            rms_bound.push_back(std::fabs(z * weight) * rounding(sums + 6));
          }
        }
        const std::string where = "size " + std::to_string(size) + " mean " + std::to_string(mean);
        std::string problem;
        const auto layer_norm = [&](const KernelTable& table) {
          Unaligned in(x, 3);
          Floats y(x.size());
          table.layer_norm(in.data(), kRows, size, affine ? w.data() : nullptr, affine ? b.data() : nullptr, kEps,
                           y.data());
          return y;
        };
        CHECK_OK(excess(run_all(layer_norm, problem, where), layer, layer_bound, "layer_norm " + where));
        CHECK_OK(problem);
        const auto rms_norm = [&](const KernelTable& table) {
          Unaligned in(x, 3);
          Floats y(x.size());
          table.rms_norm(in.data(), kRows, size, affine ? w.data() : nullptr, kEps, y.data());
          return y;
        };
        CHECK_OK(excess(run_all(rms_norm, problem, where), rms, rms_bound, "rms_norm " + where));
        CHECK_OK(problem);
      }
    }
  }
}

TEST(a_constant_row_has_the_bias_as_its_layer_norm) {
  const Floats x(37, 3.0f), b = random_floats(37, 5);
  for_each_isa([&](const KernelTable& table) {
    Floats y(37);
    table.layer_norm(x.data(), 1, 37, nullptr, b.data(), 1e-5f, y.data());
    CHECK_OK(difference(y, b, table.isa));
  });
}
