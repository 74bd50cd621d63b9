// Error bounds of the elementary functions against double, in units in the last place of the exact result.
#include <cstring>
#include <numbers>

#include "arrays.h"
#include "simd/math.h"  // the portable version: these have no kernel of their own
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

using Kernel = void (*KernelTable::*)(const float*, int64_t, float*);

Floats apply(const KernelTable& table, Kernel kernel, const Floats& x) {
  Floats y(x.size());
  (table.*kernel)(x.data(), static_cast<int64_t>(x.size()), y.data());
  return y;
}

/// Distance of neighbouring floats at the size of x; that of the smallest normal number for all below it.
double ulp(double x) {
  if (!std::isfinite(x) || std::fabs(x) < 0x1p-126) return 0x1p-149;
  int exponent;
  std::frexp(x, &exponent);
  return std::ldexp(1.0, exponent - 24);
}

/// Evenly spaced points, and points of every exponent up to the same limit.
Floats sweep(float low, float high) {
  Floats x;
  constexpr int kPoints = 100000;
  for (int i = 0; i <= kPoints; ++i) x.push_back(low + (high - low) * (static_cast<float>(i) / kPoints));
  const Floats mantissas = random_floats(64, 7, 1.0f, 2.0f);
  for (int exponent = -149; exponent < 128; ++exponent) {
    for (const float m : mantissas) {
      const float y = std::ldexp(m, exponent);
      if (y < high) x.push_back(y);
      if (-y > low) x.push_back(-y);
    }
  }
  return x;
}

struct Case {
  const char* name;
  Kernel kernel;
  double (*exact)(double);
  float low, high;
  double ulps;      // allowed relative to the exact result ...
  double absolute;  // ... plus this, relative to max(1, |x|)
};

double sigmoid_exact(double x) { return 1 / (1 + std::exp(-x)); }
double silu_exact(double x) { return x / (1 + std::exp(-x)); }
double gelu_exact(double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }
double gelu_tanh_exact(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

const Case kCases[] = {
    {"exp", &KernelTable::exp, std::exp, -86.97f, 88.72f, 2, 0},
    {"tanh", &KernelTable::tanh, std::tanh, -20, 20, 3, 0},
    {"sigmoid", &KernelTable::sigmoid, sigmoid_exact, -86.97f, 100, 3, 0},
    {"silu", &KernelTable::silu, silu_exact, -86.97f, 100, 4, 0},
    // 1 + tanh loses relative accuracy where it is near 0, the tail of gelu where it is large: x times an absolute
    // error.
    {"gelu", &KernelTable::gelu, gelu_exact, -30, 30, 3, 1.5e-7},
    {"gelu_tanh", &KernelTable::gelu_tanh, gelu_tanh_exact, -30, 30, 3, 1.5e-7},
};

Floats special_values() {
  return {0.0f, -0.0f, kInf, -kInf, kNan, 0x1p-149f, -0x1p-149f, 0x1p-126f, 3.4e38f, -3.4e38f, 1.0f, -1.0f};
}

}  // namespace

TEST(elementary_functions_stay_within_their_error_bounds) {
  for_each_isa([](const KernelTable& table) {
    for (const Case& c : kCases) {
      const Floats x = sweep(c.low, c.high), y = apply(table, c.kernel, x);
      Doubles exact, bound;
      for (const float v : x) {
        exact.push_back(c.exact(v));
        bound.push_back(c.ulps * ulp(exact.back()) + c.absolute * std::fmax(1.0, std::fabs(v)));
      }
      CHECK_OK(excess(y, exact, bound, std::string(c.name) + " on " + table.isa));
    }
  });
}

TEST(elementary_functions_have_the_same_bits_on_every_instruction_set) {
  Floats x = sweep(-3.4e38f, 3.4e38f);
  for (const Floats& more : {sweep(-100, 100), special_values()}) x.insert(x.end(), more.begin(), more.end());
  for (const Case& c : kCases) {
    std::string problem;
    run_all([&](const KernelTable& table) { return apply(table, c.kernel, x); }, problem, c.name);
    CHECK_OK(problem);
  }
}

TEST(special_values_of_elementary_functions) {
  for_each_isa([](const KernelTable& table) {
    const auto f = [&](Kernel kernel, float x) { return apply(table, kernel, {x})[0]; };
    for (const Case& c : kCases) CHECK(std::isnan(f(c.kernel, kNan)));
    CHECK(std::isnan(f(&KernelTable::relu, kNan)));

    CHECK_EQ(f(&KernelTable::exp, -kInf), 0.0f);
    CHECK_EQ(f(&KernelTable::exp, -87.0f), 0.0f);
    CHECK_EQ(f(&KernelTable::exp, 0.0f), 1.0f);
    CHECK_EQ(f(&KernelTable::exp, 88.73f), kInf);
    CHECK_EQ(f(&KernelTable::exp, kInf), kInf);

    CHECK(same(f(&KernelTable::tanh, -0.0f), -0.0f));
    CHECK_EQ(f(&KernelTable::tanh, 0x1p-149f), 0x1p-149f);
    CHECK_EQ(f(&KernelTable::tanh, kInf), 1.0f);
    CHECK_EQ(f(&KernelTable::tanh, -3.4e38f), -1.0f);

    CHECK_EQ(f(&KernelTable::sigmoid, 0.0f), 0.5f);
    CHECK_EQ(f(&KernelTable::sigmoid, kInf), 1.0f);
    CHECK_EQ(f(&KernelTable::sigmoid, -kInf), 0.0f);

    CHECK_EQ(f(&KernelTable::relu, -3.0f), 0.0f);
    CHECK_EQ(f(&KernelTable::relu, kInf), kInf);
    CHECK_EQ(f(&KernelTable::silu, kInf), kInf);
    CHECK_EQ(f(&KernelTable::gelu, kInf), kInf);
    CHECK_EQ(f(&KernelTable::gelu_tanh, kInf), kInf);
    CHECK_EQ(f(&KernelTable::gelu, 0.0f), 0.0f);
  });
}

TEST(tanh_and_sigmoid_never_leave_their_range_and_tanh_is_odd) {
  for_each_isa([](const KernelTable& table) {
    const Floats x = sweep(-100, 100);
    Floats negated = x;
    for (float& v : negated) v = -v;
    const Floats t = apply(table, &KernelTable::tanh, x), mirrored = apply(table, &KernelTable::tanh, negated);
    const Floats s = apply(table, &KernelTable::sigmoid, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(t[i] >= -1.0f && t[i] <= 1.0f);
      CHECK(same(t[i], -mirrored[i]));
      CHECK(s[i] >= 0.0f && s[i] <= 1.0f);
    }
  });
}

TEST(exp_of_a_softmax_is_within_its_error_bound) {
  const auto e = [](float x) {
    float lanes[kLanes];
    store(lanes, exp_nonpositive(broadcast(x)));
    return lanes[0];
  };
  for (const float x : sweep(-87.3f, 0)) {
    const double exact = std::exp(static_cast<double>(x));
    CHECK(std::fabs(e(x) - exact) < (1.6e-7 + 1.4e-8 * std::fabs(x)) * exact);
  }
  CHECK_EQ(e(0.0f), 1.0f);
  CHECK_EQ(e(-0.0f), 1.0f);
  CHECK_EQ(e(-87.7f), 0.0f);
  CHECK_EQ(e(-3.4e38f), 0.0f);
  CHECK_EQ(e(-kInf), 0.0f);
  CHECK(std::isnan(e(kNan)));
}

TEST(tails_of_the_normal_distribution_are_within_their_relative_error) {
  for (const float v : sweep(-13, 13)) {
    float lanes[kLanes];
    store(lanes, normal_tail(broadcast(v)));
    const double exact = 0.5 * std::erfc(std::fabs(static_cast<double>(v)) * std::sqrt(0.5));
    CHECK(std::fabs(lanes[0] - exact) < (5e-7 + 4e-8 * v * v) * exact);
  }
}

TEST(log_is_within_two_ulp_away_from_one) {
  for (const float v : sweep(1e-30f, 1e6f)) {
    if (v < 0x1p-126f) continue;
    const double exact = std::log(static_cast<double>(v));
    const double error = std::fabs(log1(v) - exact);
    // Near 1 the argument of a softmax's sum is exact and the error is relative to 0.1.
    CHECK(error <= 2 * ulp(std::fmax(std::fabs(exact), 0.1)));
  }
  CHECK_EQ(log1(1.0f), 0.0f);
  CHECK_EQ(log1(kInf), kInf);
  CHECK(std::isnan(log1(kNan)));
}

TEST(elementwise_kernels_write_exactly_their_elements) {
  const Floats input = random_floats(100, 3, -2.0f, 2.0f);
  for_each_isa([&](const KernelTable& table) {
    for (const int64_t size : {0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}) {
      for (const int64_t offset : {0, 1, 5}) {
        Unaligned x(input, offset);
        Floats y(100, 77.0f);
        table.tanh(x.data(), size, y.data());
        const Floats whole = apply(table, &KernelTable::tanh, input);
        for (int64_t i = 0; i < 100; ++i) {
          CHECK_EQ(y[static_cast<std::size_t>(i)], i < size ? whole[static_cast<std::size_t>(i)] : 77.0f);
        }
        table.tanh(x.data(), size, x.data());  // in place
        CHECK(size == 0 || std::memcmp(x.data(), y.data(), static_cast<std::size_t>(size) * sizeof(float)) == 0);
      }
      const Floats other = random_floats(100, 4);
      Floats sum(100, 77.0f);
      table.add(input.data(), other.data(), size, sum.data());
      for (std::size_t i = 0; i < 100; ++i) {
        CHECK_EQ(sum[i], static_cast<int64_t>(i) < size ? input[i] + other[i] : 77.0f);
      }
    }
  });
}
