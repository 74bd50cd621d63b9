// log_softmax_topk: the k best log-probabilities of each row.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "arrays.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

struct Best {
  Floats values;
  std::vector<int64_t> indices;
};

Best topk(const KernelTable& table, const Floats& logits, int64_t rows, int64_t size, int64_t k,
          const float* add = nullptr, int64_t stride = 0) {
  Best best{Floats(static_cast<std::size_t>(rows * k)), std::vector<int64_t>(static_cast<std::size_t>(rows * k))};
  table.log_softmax_topk(logits.data(), rows, size, stride != 0 ? stride : size, k, add, best.values.data(),
                         best.indices.data(), nullptr);
  return best;
}

/// By sorting everything: descending, the lower index first among equals; values as the log_softmax kernel's.
Best sorted(const KernelTable& table, const Floats& row, int64_t k, float add) {
  Floats log_probabilities(row.size());
  table.log_softmax(row.data(), 1, static_cast<int64_t>(row.size()), log_probabilities.data());
  Best best{{}, std::vector<int64_t>(row.size())};
  std::iota(best.indices.begin(), best.indices.end(), 0);
  std::stable_sort(best.indices.begin(), best.indices.end(), [&](int64_t a, int64_t b) {
    return row[static_cast<std::size_t>(a)] > row[static_cast<std::size_t>(b)];
  });
  best.indices.resize(static_cast<std::size_t>(k));
  for (const int64_t i : best.indices) best.values.push_back(log_probabilities[static_cast<std::size_t>(i)] + add);
  return best;
}

void check_row(const Floats& row, int64_t k, float add, const std::string& where) {
  for_each_isa([&](const KernelTable& table) {
    const Best actual = topk(table, row, 1, static_cast<int64_t>(row.size()), k, &add);
    const Best expected = sorted(kernels_for("scalar"), row, k, add);
    CHECK_OK(difference(actual.values, expected.values, where + " on " + table.isa));
    CHECK(actual.indices == expected.indices);
  });
}

}  // namespace

TEST(topk_is_what_sorting_the_row_gives) {
  for (const int64_t size : {1, 2, 7, 15, 16, 17, 33, 64, 100, 1000, 5003}) {
    const Floats row = random_floats(size, static_cast<uint64_t>(size), -9.0f, 9.0f);
    for (const int64_t k : {1, 2, 5, 8, 15, 16, 17, 33, 100, 1000, 5003}) {
      if (k <= size) check_row(row, k, -1.25f, "size " + std::to_string(size) + " k " + std::to_string(k));
    }
  }
}

TEST(topk_of_rising_falling_and_tied_rows) {
  Floats rising(300), falling(300), tied(300), equal(300, 2.0f);
  for (std::size_t i = 0; i < 300; ++i) {
    rising[i] = 0.01f * static_cast<float>(i);
    falling[i] = -rising[i];
    tied[i] = static_cast<float>(i * 7 % 5);
  }
  for (const int64_t k : {1, 4, 16, 17, 299, 300}) {
    check_row(rising, k, 0.0f, "rising");
    check_row(falling, k, 0.0f, "falling");
    check_row(tied, k, 0.0f, "tied");
    check_row(equal, k, 0.0f, "equal");
  }
}

TEST(topk_normalizers_are_the_maximum_and_the_log_of_the_sum) {
  for (const float scale : {0.1f, 3.0f, 40.0f}) {
    for (const int64_t size : {1, 63, 64, 65, 1000, 20000}) {
      const Floats row = random_floats(size, static_cast<uint64_t>(size), -scale, scale);
      const double largest = *std::max_element(row.begin(), row.end());
      double sum = 0.0;
      for (const float x : row) sum += std::exp(x - largest);
      // A term is within 3e-7 of itself, a chain of size / 16 sums adds half an ulp each; the log is within 2 ulp.
      const double log_sum = std::log(sum);
      const double bound = 3e-7 + (static_cast<double>(size) / 16.0 + 2.0) * 0x1p-24 + 2.5e-7 * log_sum;
      for_each_isa([&](const KernelTable& table) {
        float value, normalizers[2];
        int64_t index;
        table.log_softmax_topk(row.data(), 1, size, size, 1, nullptr, &value, &index, normalizers);
        CHECK_EQ(static_cast<double>(normalizers[0]), largest);
        CHECK(std::fabs(static_cast<double>(normalizers[1]) - log_sum) <= bound);
      });
    }
  }
}

TEST(topk_of_few_finite_entries_takes_masked_ones_after_them) {
  Floats row(200, -kInf);
  row[150] = -3.0f;
  row[199] = -2.0f;
  for (const int64_t k : {1, 2, 3, 70, 200}) check_row(row, k, 0.0f, "two finite");
  Floats lowest(200, -std::numeric_limits<float>::max());
  lowest[70] = 0.0f;
  for (const int64_t k : {1, 2, 64, 65}) check_row(lowest, k, 0.0f, "lowest");
}

TEST(topk_with_masked_entries) {
  Floats row = random_floats(50, 1);
  for (std::size_t i = 0; i < 50; ++i) {
    if (i % 3 != 0) row[i] = -kInf;
  }
  for (const int64_t k : {1, 17, 30, 50}) check_row(row, k, 3.0f, "every third");
  check_row(Floats(50, -kInf), 20, 0.0f, "everything masked");
}

TEST(topk_of_a_row_with_nan_has_nan_values_and_distinct_indices) {
  for_each_isa([](const KernelTable& table) {
    for (const std::size_t at : {0u, 5u, 39u}) {
      Floats row = random_floats(40, 2);
      row[at] = kNan;
      for (const int64_t k : {1, 6, 40}) {
        Best best = topk(table, row, 1, 40, k);
        for (const float value : best.values) CHECK(std::isnan(value));
        std::sort(best.indices.begin(), best.indices.end());
        CHECK(std::adjacent_find(best.indices.begin(), best.indices.end()) == best.indices.end());
        CHECK(best.indices.front() >= 0 && best.indices.back() < 40);
      }
    }
  });
}

TEST(topk_reads_rows_by_their_stride_and_adds_to_each_its_own) {
  const int64_t rows = 3, size = 21, stride = 25, k = 4;
  const Floats logits = random_floats(rows * stride, 6, -3.0f, 3.0f), add = {0.5f, -7.0f, 0.0f};
  for_each_isa([&](const KernelTable& table) {
    const Best all = topk(table, logits, rows, size, k, add.data(), stride);
    for (int64_t r = 0; r < rows; ++r) {
      const Floats row(logits.begin() + r * stride, logits.begin() + r * stride + size);
      const Best alone = sorted(table, row, k, add[static_cast<std::size_t>(r)]);
      for (int64_t i = 0; i < k; ++i) {
        CHECK_EQ(all.values[static_cast<std::size_t>(r * k + i)], alone.values[static_cast<std::size_t>(i)]);
        CHECK_EQ(all.indices[static_cast<std::size_t>(r * k + i)], alone.indices[static_cast<std::size_t>(i)]);
      }
    }
  });
}

TEST(topk_of_no_rows_or_no_entries_writes_nothing) {
  for_each_isa([](const KernelTable& table) {
    CHECK(topk(table, {}, 0, 10, 3).values.empty());
    CHECK(topk(table, random_floats(10, 1), 1, 10, 0).values.empty());
  });
}
