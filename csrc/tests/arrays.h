// What the kernel tests share: inputs, and comparisons that say where two arrays differ.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/buffer.h"

namespace fastseq::testing {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr double kUnitRoundoff = 0x1p-24;  // largest relative error of one float operation
const float kNan = std::nanf("");
constexpr float kInf = std::numeric_limits<float>::infinity();

/// Error bound of a sum of `terms` products relative to the sum of their magnitudes (Higham, 2002, chapter
/// 3).
inline double rounding(double terms) { return terms * kUnitRoundoff / (1 - terms * kUnitRoundoff); }

/// Numbers in [low, high) that are the same on every platform (SplitMix64).
inline Floats random_floats(int64_t count, uint64_t seed, float low = -1.0f, float high = 1.0f) {
  Floats values(static_cast<std::size_t>(count));
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (float& value : values) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    value = low + (high - low) * static_cast<float>(z >> 40) * 0x1p-24f;
  }
  return values;
}

/// A copy that starts `offset` floats beyond a 64-byte boundary and ends where its memory ends.
class Unaligned {
 public:
  Unaligned(const Floats& values, int64_t offset)
      : memory_(static_cast<int64_t>(values.size()) + offset), offset_(offset) {
    for (std::size_t i = 0; i < values.size(); ++i) data()[i] = values[i];
  }
  float* data() { return memory_.data() + offset_; }

 private:
  Buffer<float> memory_;
  int64_t offset_;
};

inline void for_each_isa(const std::function<void(const KernelTable&)>& body) {
  for (const auto isa : available_isas()) body(kernels_for(isa));
}

/// Equal as bits, all NaN being the same.
inline bool same(float a, float b) {
  return (a == b && std::signbit(a) == std::signbit(b)) || (std::isnan(a) && std::isnan(b));
}

/// Empty if all elements are the same, else where the first difference is.
inline std::string difference(const Floats& actual, const Floats& expected, const std::string& where) {
  if (actual.size() != expected.size()) return where + ": sizes differ";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (same(actual[i], expected[i])) continue;
    char text[128];
    std::snprintf(text, sizeof text, ": element %zu is %a (%.9g), expected %a (%.9g)", i, actual[i], actual[i],
                  expected[i], expected[i]);
    return where + text;
  }
  return "";
}

/// Empty if |actual - expected| <= bound for all elements, else where the first is that is not.
inline std::string excess(const Floats& actual, const Doubles& expected, const Doubles& bound,
                          const std::string& where) {
  if (actual.size() != expected.size() || actual.size() != bound.size()) return where + ": sizes differ";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    if (error <= bound[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) continue;
    if (static_cast<double>(actual[i]) == expected[i]) continue;  // infinities
    char text[160];
    std::snprintf(text, sizeof text, ": element %zu is %.9g, expected %.17g; off by %.3g, allowed %.3g", i, actual[i],
                  expected[i], error, bound[i]);
    return where + text;
  }
  return "";
}

/// Runs `kernel` for every instruction set and returns the common result; any difference is in `problem`.
inline Floats run_all(const std::function<Floats(const KernelTable&)>& kernel, std::string& problem,
                      const std::string& where) {
  Floats first;
  for (const auto isa : available_isas()) {
    const Floats result = kernel(kernels_for(isa));
    if (isa == available_isas().front()) {
      first = result;
    } else if (problem.empty()) {
      problem = difference(result, first, where + " on " + std::string(isa));
    }
  }
  return first;
}

}  // namespace fastseq::testing
