// attention within a window: a query sees only the keys that are near to it.
#include <algorithm>

#include "attention_case.h"

using namespace fastseq;
using namespace fastseq::testing;

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
