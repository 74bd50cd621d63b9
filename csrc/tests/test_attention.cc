// attention: softmax(scale * query @ key^T + mask) @ value of one head.
#include <algorithm>

#include "arrays.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr double u = kUnitRoundoff;

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

Floats spread(const Floats& dense, int64_t rows, int64_t width, int64_t gap) {
  Floats values(static_cast<std::size_t>(rows * (width + gap)), kNan);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(dense.begin() + r * width, width, values.begin() + r * (width + gap));
  if (rows > 0) values.resize(values.size() - static_cast<std::size_t>(gap));
  return values;
}

/// Output for queries [begin, end), (end - begin, value_size).
Floats run(const KernelTable& table, const Case& c, int64_t begin, int64_t end) {
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

Floats run(const KernelTable& table, const Case& c) { return run(table, c, 0, c.queries); }

/// In double. A score errs by the rounding of its dot product and a few of its own size; weights by twice the
/// largest such error, the rounding of exponent and sum, and once more for each of the blocks and keys.
void exact(const Case& c, Doubles& output, Doubles& bound) {
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

void check(const Case& c) {
  Doubles expected, bound;
  exact(c, expected, bound);
  std::string problem;
  const Floats output = run_all([&](const KernelTable& table) { return run(table, c); }, problem, c.text());
  CHECK_OK(problem);
  CHECK_OK(excess(output, expected, bound, c.text()));
}

}  // namespace

TEST(attention_agrees_with_double_and_on_every_instruction_set) {
  for (const int64_t queries : {1, 2, 5, 6, 7, 8, 9, 13, 30}) {
    for (const int64_t keys : {1, 7, 8, 31, 63, 64, 65, 128, 130, 200}) {
      check(Case(queries, keys, 64, 64));
      check(Case(queries, keys, 20, 36));
    }
  }
  for (const int64_t head_size : {1, 3, 8, 15, 17, 33}) {
    for (const int64_t value_size : {1, 4, 8, 15, 16, 17, 31, 33, 65, 80}) check(Case(7, 70, head_size, value_size));
  }
}

TEST(attention_with_masks_and_causality) {
  for (const int64_t queries : {1, 6, 13, 70}) {
    for (const int64_t keys : {5, 64, 70, 150}) {
      for (const Mask mask : {Mask::kNone, Mask::kKeep, Mask::kAdd}) {
        for (const bool broadcast : {false, true}) {
          for (const bool causal : {false, true}) {
            Case c(queries, keys, 24, 17);
            if (mask != Mask::kNone) c.masked(mask, broadcast);
            c.causal = causal;
            c.gap = 5;
            check(c);
            for (const int64_t offset : {-3, 40, 1000}) {
              c.offset = offset;
              if (causal) check(c);
            }
          }
        }
      }
    }
  }
}

TEST(attention_of_several_groups_of_queries_over_several_blocks_of_keys) {
  for (const Mask mask : {Mask::kNone, Mask::kAdd}) {
    for (const bool causal : {false, true}) {
      Case c(2 * kAttentionQueries + 9, 2 * kAttentionBlock + 70, 12, 9);
      if (mask != Mask::kNone) c.masked(mask, false);
      c.causal = causal;
      for (const int64_t offset : {-130, 0, 400}) {
        c.offset = offset;
        if (causal || offset == 0) check(c);
      }
      for_each_isa([&](const KernelTable& table) {
        const Floats together = run(table, c);
        for (const int64_t begin : {int64_t{0}, int64_t{1}, kAttentionQueries - 2}) {
          const int64_t end = begin + kAttentionQueries + 7;
          const Floats part(together.begin() + begin * 9, together.begin() + end * 9);
          CHECK_OK(difference(run(table, c, begin, end), part, table.isa));
        }
      });
    }
  }
}

TEST(attention_within_a_window) {
  for (const int64_t window : {1, 2, 5, 17, 64, 65, 700}) {
    for (const int64_t queries : {1, 6, 13, 300}) {
      for (const bool causal : {false, true}) {
        Case c(queries, 2 * kAttentionBlock + 30, 12, 9);
        c.window = window;
        c.causal = causal;
        for (const int64_t offset : {-20, 0, 250, 2000}) {
          c.offset = offset;
          check(c);
        }
      }
    }
  }
  for (const Mask mask : {Mask::kKeep, Mask::kAdd}) {
    Case c(70, 150, 24, 17);
    c.window = 20;
    c.gap = 5;
    check(c.masked(mask, false));
  }
}

TEST(a_window_gives_the_numbers_of_a_mask) {
  // A hidden key adds a weight of zero: the chains are those of attention to all keys.
  Case masked(400, 400, 16, 24);
  masked.window = 50;
  Case windowed = masked;
  masked.masked(Mask::kKeep, false);
  for (int64_t i = 0; i < 400 * 400; ++i) {
    masked.keep[static_cast<std::size_t>(i)] = masked.sees(i / 400, i % 400);
  }
  masked.window = 0;
  for_each_isa(
      [&](const KernelTable& table) { CHECK_OK(difference(run(table, windowed), run(table, masked), table.isa)); });
}

TEST(what_is_outside_of_its_window_never_reaches_a_query) {
  Case c(2 * kAttentionQueries, 3 * kAttentionBlock, 16, 24);
  c.window = 40;
  c.offset = kAttentionBlock - 70;
  for (const int64_t query : {int64_t{0}, int64_t{69}, int64_t{100}, 2 * kAttentionQueries - 1}) {
    Case poisoned = c;
    for (int64_t j = 0; j < c.keys; ++j) {
      if (c.sees(query, j)) continue;
      std::fill_n(poisoned.key.begin() + j * 16, 16, kNan);
      std::fill_n(poisoned.value.begin() + j * 24, 24, kInf);
    }
    for_each_isa([&](const KernelTable& table) {
      const auto row_of = [&](const Floats& output) {
        return Floats(output.begin() + query * 24, output.begin() + (query + 1) * 24);
      };
      CHECK_OK(difference(row_of(run(table, poisoned)), row_of(run(table, c)), table.isa));
    });
  }
}

TEST(the_result_of_a_query_does_not_depend_on_the_others) {
  Case c(23, 150, 32, 40);
  c.masked(Mask::kAdd, false);
  for (const int kind : {0, 1, 2, 3}) {
    c.causal = kind % 2 == 1;
    c.window = kind / 2 * 9;
    for_each_isa([&](const KernelTable& table) {
      const Floats together = run(table, c);
      for (int64_t begin = 0; begin < c.queries;) {
        const int64_t end = std::min(c.queries, begin + 1 + begin % 5);
        const Floats part(together.begin() + begin * 40, together.begin() + end * 40);
        CHECK_OK(difference(run(table, c, begin, end), part, table.isa));
        begin = end;
      }
    });
  }
}

TEST(what_comes_after_a_query_never_reaches_it) {
  Case c(21, 150, 16, 24);
  c.causal = true;
  c.offset = 60;
  Case poisoned = c;
  const int64_t from = 75;  // the first key that query 14 does not see
  std::fill(poisoned.key.begin() + from * 16, poisoned.key.end(), kNan);
  std::fill(poisoned.value.begin() + from * 24, poisoned.value.end(), kInf);
  for_each_isa([&](const KernelTable& table) {
    Floats clean = run(table, c), other = run(table, poisoned);
    clean.resize(15 * 24);
    other.resize(15 * 24);
    CHECK_OK(difference(other, clean, table.isa));
  });
}

TEST(keys_behind_a_mask_change_nothing) {
  // A batch padded to more keys gives what the unpadded keys give.
  Case c(9, 70, 16, 24);
  Case padded(9, 135, 16, 24);
  std::copy(c.key.begin(), c.key.end(), padded.key.begin());
  std::copy(c.value.begin(), c.value.end(), padded.value.begin());
  padded.masked(Mask::kKeep, true);
  for (int64_t j = 0; j < 135; ++j) padded.keep[static_cast<std::size_t>(j)] = j < 70;
  for_each_isa([&](const KernelTable& table) { CHECK_OK(difference(run(table, padded), run(table, c), table.isa)); });
}

TEST(a_query_that_sees_nothing_gives_zero) {
  Case c(8, 70, 16, 20);
  c.masked(Mask::kKeep, false);
  std::fill(c.keep.begin() + 3 * 70, c.keep.begin() + 4 * 70, uint8_t{0});
  Case causal(8, 70, 16, 20);
  causal.causal = true;
  causal.offset = -4;
  Case none(8, 0, 16, 20);
  for_each_isa([&](const KernelTable& table) {
    const Floats output = run(table, c), late = run(table, causal), empty = run(table, none);
    for (std::size_t d = 0; d < 20; ++d) {
      CHECK_EQ(output[3 * 20 + d], 0.0f);
      CHECK(output[4 * 20 + d] != 0.0f);
      CHECK_EQ(late[3 * 20 + d], 0.0f);
      CHECK_EQ(late[4 * 20 + d], causal.value[d]);
    }
    for (const float x : empty) CHECK_EQ(x, 0.0f);
  });
}

TEST(nan_in_attention_reaches_its_own_query_or_all) {
  Case query(8, 70, 16, 20), key(8, 70, 16, 20), add(8, 70, 16, 20);
  query.query[2 * 16 + 5] = kNan;
  key.key[65 * 16] = kNan;
  add.masked(Mask::kAdd, false);
  add.add[2 * 70 + 3] = kNan;
  for_each_isa([&](const KernelTable& table) {
    for (const Case* c : {&query, &add}) {
      const Floats output = run(table, *c);
      for (std::size_t i = 0; i < 8; ++i) CHECK_EQ(std::isnan(output[i * 20]), i == 2);
    }
    for (const float x : run(table, key)) CHECK(std::isnan(x));
  });
}

TEST(large_scores_do_not_overflow) {
  Case c(3, 130, 16, 16);
  for (float& q : c.query) q *= 1e4f;
  for_each_isa([&](const KernelTable& table) {
    for (const float x : run(table, c)) CHECK(std::fabs(x) <= 1.0f);
  });
}
