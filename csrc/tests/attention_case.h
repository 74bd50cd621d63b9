// Attention of one head in tests: a case, the kernel's result, and the same in double.
#pragma once

#include <algorithm>

#include "arrays.h"
#include "testing.h"

namespace fastseq::testing {

enum class Mask { kNone, kKeep, kAdd };

struct Case {
  int64_t queries, keys, head_size, value_size;
  bool causal = false;
  int64_t offset = 0;
  int64_t window = 0;
  Mask mask = Mask::kNone;
  bool broadcast_query = false;  // one row of mask for all queries
  int64_t gap = 0;               // floats between rows

  Floats query, key, value, add;
  std::vector<uint8_t> keep;

  Case(int64_t l, int64_t s, int64_t d, int64_t dv) : queries(l), keys(s), head_size(d), value_size(dv) {
    query = random_floats(l * d, 1, -2, 2);
    key = random_floats(s * d, 2, -2, 2);
    value = random_floats(s * dv, 3);
  }
  Case& masked(Mask kind, bool broadcast) {
    mask = kind;
    broadcast_query = broadcast;
    add = random_floats((broadcast ? 1 : queries) * keys, 4, -3, 3);
    for (float& a : add) {
      keep.push_back(a > -1.0f);
      if (a < -1.0f) a = -kInf;
    }
    return *this;
  }
  bool sees(int64_t i, int64_t j) const {
    const int64_t distance = j - i - offset;
    return !(causal && distance > 0) && (window == 0 || (-window < distance && distance < window));
  }
  int64_t mask_index(int64_t i, int64_t j) const { return (broadcast_query ? 0 : i) * keys + j; }
  float scale() const { return 0.37f; }
  std::string text() const {
    return std::to_string(queries) + "x" + std::to_string(keys) + "x" + std::to_string(head_size) + "x" +
           std::to_string(value_size) + (causal ? " causal " : " at ") + std::to_string(offset) + " window " +
           std::to_string(window) + " mask " + std::to_string(static_cast<int>(mask));
  }
};

inline Floats spread(const Floats& dense, int64_t rows, int64_t width, int64_t gap) {
  Floats values(static_cast<std::size_t>(rows * (width + gap)), kNan);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(dense.begin() + r * width, width, values.begin() + r * (width + gap));
  if (rows > 0) values.resize(values.size() - static_cast<std::size_t>(gap));
  return values;
}

/// Output for queries [begin, end), (end - begin, value_size).
inline Floats run(const KernelTable& table, const Case& c, int64_t begin, int64_t end) {
  Unaligned query(spread(c.query, c.queries, c.head_size, c.gap), 1), key(spread(c.key, c.keys, c.head_size, c.gap), 3);
  Unaligned value(spread(c.value, c.keys, c.value_size, c.gap), 1);
  Floats output(static_cast<std::size_t>((end - begin) * (c.value_size + c.gap)), 77.0f);
  Buffer<float> scratch(attention_scratch_size(c.keys, c.head_size, c.value_size));
  std::fill_n(scratch.data(), scratch.size(), kNan);
  AttentionArgs args;
  args.queries = end - begin;
  args.keys = c.keys;
  args.head_size = c.head_size;
  args.value_size = c.value_size;
  args.query_stride = args.key_stride = c.head_size + c.gap;
  args.value_stride = args.output_stride = c.value_size + c.gap;
  args.query = query.data() + begin * args.query_stride;
  args.key = key.data();
  args.value = value.data();
  args.output = output.data();
  args.scale = c.scale();
  args.is_causal = c.causal;
  args.causal_offset = c.offset + begin;
  args.window = c.window;
  args.mask_query_stride = c.broadcast_query ? 0 : c.keys;
  args.mask_key_stride = 1;
  const int64_t first = c.mask_index(begin, 0);
  if (c.mask == Mask::kKeep) args.mask = c.keep.data() + first;
  if (c.mask == Mask::kAdd) args.add = c.add.data() + first;
  args.scratch = scratch.data();
  table.attention(args);
  Floats dense;
  for (int64_t r = 0; r < args.queries; ++r) {
    const auto row = output.begin() + r * args.output_stride;
    dense.insert(dense.end(), row, row + c.value_size);
    for (int64_t i = c.value_size; i < args.output_stride; ++i) CHECK_EQ(row[i], 77.0f);
  }
  return dense;
}

inline Floats run(const KernelTable& table, const Case& c) { return run(table, c, 0, c.queries); }

/// In double. A score errs by the rounding of its dot product and a few of its own size; weights by twice the
/// largest such error, the rounding of exponent and sum, and once more for each of the blocks and keys.
inline void exact(const Case& c, Doubles& output, Doubles& bound) {
  constexpr double u = kUnitRoundoff;
  output.clear();
  bound.clear();
  for (int64_t i = 0; i < c.queries; ++i) {
    Doubles score(static_cast<std::size_t>(c.keys), -kInf);
    double largest = -kInf, score_error = 0, range = 0;
    for (int64_t j = 0; j < c.keys; ++j) {
      const auto at = static_cast<std::size_t>(c.mask_index(i, j));
      if (!c.sees(i, j) || (c.mask == Mask::kKeep && c.keep[at] == 0)) continue;
      double dot = 0, magnitude = 0;
      for (int64_t d = 0; d < c.head_size; ++d) {
        const double product = static_cast<double>(c.query[static_cast<std::size_t>(i * c.head_size + d)]) *
                               c.key[static_cast<std::size_t>(j * c.head_size + d)];
        dot += product;
        magnitude += std::fabs(product);
      }
      const double s = dot * c.scale() + (c.mask == Mask::kAdd ? c.add[at] : 0.0f);
      score[static_cast<std::size_t>(j)] = s;
      largest = std::fmax(largest, s);
      score_error = std::fmax(score_error, rounding(static_cast<double>(c.head_size) + 1) * magnitude * c.scale());
      if (std::isfinite(s)) score_error = std::fmax(score_error, score_error + u * std::fabs(s));
    }
    double sum = 0;
    for (const double s : score) {
      if (!std::isfinite(s)) continue;
      sum += std::exp(s - largest);
      range = std::fmax(range, largest - s);
    }
    const double relative = 2 * score_error + u * (2 * range + 16 + static_cast<double>(c.keys) * (1 + 1.0 / 16));
    for (int64_t d = 0; d < c.value_size; ++d) {
      double total = 0, magnitude = 0;
      for (int64_t j = 0; j < c.keys; ++j) {
        if (!std::isfinite(score[static_cast<std::size_t>(j)])) continue;
        const double p = std::exp(score[static_cast<std::size_t>(j)] - largest) / sum;
        const double v = c.value[static_cast<std::size_t>(j * c.value_size + d)];
        total += p * v;
        magnitude += p * std::fabs(v);
      }
      output.push_back(total);
      bound.push_back(relative * magnitude * 1.01);
    }
  }
}

inline void check(const Case& c) {
  Doubles expected, bound;
  exact(c, expected, bound);
  std::string problem;
  const Floats output = run_all([&](const KernelTable& table) { return run(table, c); }, problem, c.text());
  CHECK_OK(problem);
  CHECK_OK(excess(output, expected, bound, c.text()));
}

}  // namespace fastseq::testing
