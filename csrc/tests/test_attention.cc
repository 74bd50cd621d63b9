// attention: softmax(scale * query @ key^T + mask) @ value of one head.
#include <algorithm>

#include "attention_case.h"

using namespace fastseq;
using namespace fastseq::testing;

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
