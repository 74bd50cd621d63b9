// Rotary positions: pairs of numbers turned by angles that grow with the position.
#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "arrays.h"
#include "layers/rotary.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr double u = kUnitRoundoff;

/// x (rows, heads * size) turned, in double. The frequency errs by the roundings of its exponent, the power and the
/// quotient, the angle by one more; a rounding each for sine or cosine, product and sum.
void exact(const std::vector<int64_t>& positions, int64_t heads, int64_t size, double theta, const Floats& x,
           Doubles& output, Doubles& bound) {
  output.assign(x.size(), 0.0);
  bound.assign(x.size(), 0.0);
  for (std::size_t r = 0; r < positions.size(); ++r) {
    for (int64_t j = 0; j < heads * size / 2; ++j) {
      const int64_t half = size / 2, i = j % half;
      const auto first = r * static_cast<std::size_t>(heads * size) + static_cast<std::size_t>(j / half * size + i);
      const std::size_t second = first + static_cast<std::size_t>(half);
      const double angle = static_cast<double>(positions[r]) *
                           std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(size));
      output[first] = x[first] * std::cos(angle) - x[second] * std::sin(angle);
      output[second] = x[second] * std::cos(angle) + x[first] * std::sin(angle);
      const double magnitude = std::fabs(x[first]) + std::fabs(x[second]);
      bound[first] = bound[second] = 1.01 * u * magnitude * ((std::log(theta) + 3) * angle + 3);
    }
  }
}

}  // namespace

TEST(rotary_turns_pairs_as_in_double_and_leaves_the_rest) {
  for (const int64_t size : {2, 6, 16, 34, 64}) {
    for (const float theta : {10000.0f, 160000.0f, 77.5f}) {
      const std::vector<int64_t> positions{0, 1, 2, 700, 3, 8191, 0};
      const int64_t rows = static_cast<int64_t>(positions.size()), heads = 3, stride = heads * size + 5;
      const Floats dense = random_floats(rows * heads * size, 1, -2, 2);
      Floats x(static_cast<std::size_t>(rows * stride), 77.0f), turned;
      for (int64_t r = 0; r < rows; ++r) {
        std::copy_n(dense.begin() + r * heads * size, heads * size, x.begin() + r * stride);
      }
      Rotary(theta, size).turn(positions.data(), rows, heads, stride, x.data());
      for (int64_t r = 0; r < rows; ++r) {
        turned.insert(turned.end(), x.begin() + r * stride, x.begin() + r * stride + heads * size);
        for (int64_t i = heads * size; i < stride; ++i) CHECK_EQ(x[static_cast<std::size_t>(r * stride + i)], 77.0f);
      }
      Doubles expected, bound;
      exact(positions, heads, size, static_cast<double>(theta), dense, expected, bound);
      CHECK_OK(excess(turned, expected, bound, "size " + std::to_string(size)));
    }
  }
}

TEST(rotary_gives_the_same_bits_alone_with_any_threads_and_after_its_table_has_grown) {
  const int64_t size = 32, heads = 4, rows = 600, stride = heads * size;
  const Floats x = random_floats(rows * stride, 2);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < rows; ++i) positions.push_back(i % 450);
  Floats together = x;
  Rotary(500.0f, size).turn(positions.data(), rows, heads, stride, together.data());
  const int threads_before = num_threads();
  const Rotary grown(500.0f, size);
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Floats one_by_one = x;
    for (int64_t i = 0; i < rows; ++i) {
      grown.turn(positions.data() + i, 1, heads, stride, one_by_one.data() + i * stride);
    }
    CHECK_OK(difference(one_by_one, together, "one by one"));
    Floats again = x;
    grown.turn(positions.data(), rows, heads, stride, again.data());
    CHECK_OK(difference(again, together, "threads " + std::to_string(threads)));
  }
  set_num_threads(threads_before);
  grown.turn(nullptr, 0, heads, stride, nullptr);
}

TEST(rotary_tables_grow_on_many_threads_at_once) {
  const int64_t size = 16, rows = 40;
  const Floats x = random_floats(rows * size, 3);
  const auto turned = [&](const Rotary& rotary, int64_t first) {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < rows; ++i) positions.push_back(first + i);
    Floats result = x;
    rotary.turn(positions.data(), rows, 1, size, result.data());
    return result;
  };
  const Rotary shared(10000.0f, size);
  std::vector<std::thread> threads;
  std::vector<int64_t> wrong(4);
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t first = t; first < 3000; first += 131) {
        if (turned(shared, first) != turned(Rotary(10000.0f, size), first)) ++wrong[static_cast<std::size_t>(t)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t count : wrong) CHECK_EQ(count, 0);
}
