#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "arrays.h"
#include "layers/linear.h"
#include "runtime/integrity.h"
#include "runtime/thread_pool.h"
#include "testing.h"

namespace {

using namespace fastseq;
using namespace fastseq::testing;

constexpr ComputeType kTypes[] = {ComputeType::kFloat32, ComputeType::kBfloat16, ComputeType::kInt8};

/// A weight's origin that notes how it is packed.
WeightOrigin recording() {
  WeightOrigin origin;
  origin.name = "w";
  origin.record = std::make_shared<WeightRecord>();
  return origin;
}

std::vector<int32_t> row_sums(const PackedRows& packed) {
  std::vector<int32_t> sums(static_cast<std::size_t>(packed.outputs));
  const auto* bytes = static_cast<const int8_t*>(packed.data);
  const int64_t groups = (packed.columns + 3) / 4;
  for (int64_t i = 0; i < packed.bytes; ++i) {
    const int64_t panel = i / (groups * packed.width * 4), column = i / 4 % packed.width;
    sums[static_cast<std::size_t>(panel * packed.width + column)] += bytes[i];
  }
  return sums;
}

Floats outputs(const Linear& linear, const Floats& input, int64_t rows) {
  Floats result(static_cast<std::size_t>(rows * linear.out_features()));
  linear.forward(input.data(), rows, result.data());
  return result;
}

}  // namespace

TEST(a_weight_that_is_packed_already_is_used_where_it_lies) {
  const int64_t rows = 3;
  for (const int64_t in : {1, 15, 16, 67}) {
    for (const int64_t out : {1, 40, 129}) {
      const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2);
      for (const ComputeType type : kTypes) {
        const WeightOrigin fresh = recording();
        const Linear packed(WeightView(weight.data()).of(&fresh), nullptr, out, in, type);
        WeightOrigin origin = recording();
        origin.packed = fresh.record->packed["w"];
        CHECK_EQ(origin.packed.size(), std::size_t{1});
        std::vector<int32_t> sums;
        if (type == ComputeType::kInt8) sums = row_sums(origin.packed[0]);
        origin.packed[0].sums = sums.data();
        origin.owner = std::make_shared<int>(0);
        const WeightView nothing(static_cast<const float*>(nullptr));
        const Linear borrowed(nothing.of(&origin), nullptr, out, in, type);
        CHECK(origin.record->packed["w"][0].data == origin.packed[0].data);
        CHECK(origin.owner.use_count() > 1);
        CHECK_OK(difference(outputs(borrowed, input, rows), outputs(packed, input, rows), "borrowed"));
        origin.packed[0].width += 1;
        CHECK_THROWS(std::invalid_argument, Linear(nothing.of(&origin), nullptr, out, in, type));
      }
    }
  }
}

TEST(a_weight_is_packed_the_same_by_any_number_of_threads) {
  const int before = num_threads();
  const int64_t in = 300, out = 1000;
  const Floats weight = random_floats(out * in, 2);
  for (const ComputeType type : kTypes) {
    const auto packed = [&](int threads) {
      set_num_threads(threads);
      const WeightOrigin origin = recording();
      const Linear linear(WeightView(weight.data()).of(&origin), nullptr, out, in, type);
      const PackedRows& rows = origin.record->packed["w"][0];
      const auto* bytes = static_cast<const unsigned char*>(rows.data);
      return std::vector<unsigned char>(bytes, bytes + rows.bytes);
    };
    const auto wanted = packed(1);
    for (const int threads : {2, 5}) CHECK(packed(threads) == wanted);
  }
  set_num_threads(before);
}

TEST(the_checksum_is_the_sum_of_its_definition_and_changes_with_every_word) {
  for (const int64_t size : {0, 1, 4, 7, 1024, 70000}) {
    std::vector<unsigned char> bytes(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 151 + 7);
    uint64_t sum = 0;
    for (int64_t i = 0; i < size; ++i) {
      sum += (static_cast<uint64_t>(bytes[static_cast<std::size_t>(i)]) << (8 * (i % 4))) *
             static_cast<uint64_t>(2 * (i / 4) + 1);
    }
    CHECK_EQ(checksum(bytes.data(), size), sum);
    for (std::size_t i = 0; i < bytes.size(); i += 997) {
      bytes[i] ^= 64;
      CHECK(checksum(bytes.data(), size) != sum);
      bytes[i] ^= 64;
    }
  }
}

TEST(a_number_that_is_not_finite_is_found_wherever_it_is) {
  Floats numbers = random_floats(50003, 1);
  numbers[7] = std::numeric_limits<float>::max();
  CHECK(all_finite(numbers.data(), 50003));
  CHECK(all_finite(numbers.data(), 0));
  for (const std::size_t i : {std::size_t{0}, std::size_t{255}, std::size_t{40000}, std::size_t{50002}}) {
    for (const float wrong : {kNan, kInf, -kInf}) {
      const float kept = numbers[i];
      numbers[i] = wrong;
      CHECK(!all_finite(numbers.data(), 50003));
      numbers[i] = kept;
    }
  }
}

TEST(transpose_moves_every_number_and_nothing_else) {
  for_each_isa([](const KernelTable& table) {
    for (const int64_t rows : {1, 7, 8, 9, 24}) {
      for (const int64_t columns : {0, 1, 7, 8, 16, 19}) {
        const int64_t from_stride = columns + 3, to_stride = rows + 2;
        const Floats from = random_floats(rows * from_stride, 5);
        Floats to(static_cast<std::size_t>(columns * to_stride), -1.0f), expected = to;
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < columns; ++c) expected[c * to_stride + r] = from[r * from_stride + c];
        }
        table.transpose(from.data(), from_stride, rows, columns, to.data(), to_stride);
        CHECK(to == expected);
      }
    }
  });
}
