// Products with bfloat16 and int8 weights, and the quantisation of rows.
#include <algorithm>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "layers/linear.h"
#include "layers/packed.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

struct Quantized {
  std::vector<int> values;
  float scale = 0;
};

/// The formula of QuantizeArgs, number after number.
Quantized quantize(const float* row, int64_t size) {
  Quantized result{std::vector<int>(static_cast<std::size_t>(size)), 0};
  float largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (!std::isfinite(row[i])) largest = kNan;
    if (!std::isnan(largest)) largest = std::max(largest, std::fabs(row[i]));
  }
  if (std::isnan(largest)) result.scale = kNan;
  if (!(largest >= 0x1p-120f)) return result;
  result.scale = largest / 127.0f;
  const float inverse = 127.0f / largest;
  for (int64_t i = 0; i < size; ++i) {
    result.values[static_cast<std::size_t>(i)] = static_cast<int>(std::nearbyintf(row[i] * inverse));
  }
  return result;
}

Quantized quantize_by_kernel(const KernelTable& table, const Floats& row) {
  const auto size = static_cast<int64_t>(row.size());
  Unaligned input(row, 1);
  std::vector<int8_t> bytes(row.size() + 7, 55);
  Quantized result{{}, 0};
  QuantizeArgs args;
  args.input = input.data();
  args.rows = 1;
  args.size = size;
  args.output = bytes.data();
  args.scales = &result.scale;
  table.quantize_rows(args);
  result.values.assign(bytes.begin(), bytes.begin() + size);
  for (std::size_t i = row.size(); i < bytes.size(); ++i) CHECK_EQ(bytes[i], 55);
  return result;
}

/// One fma from the bias for each output, over exact sums of products of integers.
Floats int8_product(const Floats& input, const Floats& weight, const Floats& bias, int64_t rows, int64_t in,
                    int64_t out) {
  Floats result;
  for (int64_t r = 0; r < rows; ++r) {
    const Quantized x = quantize(input.data() + r * in, in);
    for (int64_t o = 0; o < out; ++o) {
      const Quantized w = quantize(weight.data() + o * in, in);
      int64_t sum = 0;
      for (std::size_t k = 0; k < x.values.size(); ++k) sum += x.values[k] * w.values[k];
      result.push_back(std::fma(static_cast<float>(sum), x.scale * w.scale,
                                bias.empty() ? 0.0f : bias[static_cast<std::size_t>(o)]));
    }
  }
  return result;
}

Floats rounded_to_bfloat16(const Floats& values) {
  Floats result;
  for (const float value : values) {
    const uint32_t bits = static_cast<uint32_t>(to_bfloat16(value)) << 16;
    result.emplace_back();
    std::memcpy(&result.back(), &bits, sizeof bits);
  }
  return result;
}

Floats forward(const Floats& input, const WeightView& weight, const Floats& bias, int64_t rows, int64_t in, int64_t out,
               ComputeType type, Activation activation = Activation::kNone) {
  const Linear linear(weight, bias.empty() ? nullptr : bias.data(), out, in, type);
  Floats output(static_cast<std::size_t>(rows * out));
  linear.forward(input.data(), rows, output.data(), activation);
  return output;
}

/// body(table) with the set in use, then the one before again.
void with_each_isa(const std::function<void(const KernelTable&)>& body) {
  const std::string before = kernels().isa;
  for_each_isa([&](const KernelTable& table) {
    use_isa(table.isa);
    body(table);
  });
  use_isa(before);
}

}  // namespace

TEST(rows_are_quantised_to_the_nearest_of_255_steps) {
  for (const int64_t size : {0, 1, 3, 15, 16, 17, 31, 33, 200}) {
    Floats row = random_floats(size, 5, -3.0f, 3.0f);
    const Quantized expected = quantize(row.data(), size);
    for_each_isa([&](const KernelTable& table) {
      const Quantized actual = quantize_by_kernel(table, row);
      CHECK_EQ(actual.scale, expected.scale);
      CHECK(actual.values == expected.values);
    });
  }
}

TEST(extreme_rows_are_quantised_without_overflow) {
  const std::vector<Floats> rows = {
      {0.0f, -0.0f, 0.0f}, {1e-40f, -1e-42f}, {0x1p-120f, -0x1p-121f}, {3.4e38f, -3.4e38f, 1e38f},
      {1.0f, kNan, 2.0f},  {kInf, 1.0f},      {-kInf, kNan},           {0.5f, 1.5f, 2.5f, 127.0f}};
  for (const Floats& row : rows) {
    const Quantized expected = quantize(row.data(), static_cast<int64_t>(row.size()));
    for_each_isa([&](const KernelTable& table) {
      const Quantized actual = quantize_by_kernel(table, row);
      CHECK(same(actual.scale, expected.scale));
      for (std::size_t i = 0; i < row.size(); ++i) CHECK_EQ(actual.values[i], expected.values[i]);
    });
  }
}

TEST(int8_products_are_exact_sums_on_every_instruction_set) {
  for (const int64_t in : {0, 1, 3, 4, 5, 16, 33, 130}) {
    for (const int64_t out : {1, 7, 16, 33, 64, 65, 130}) {
      for (const int64_t rows : {1, 2, 3, 5, 7, 13}) {
        const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2),
                     bias = rows == 3 ? Floats() : random_floats(out, 3);
        const Floats expected = int8_product(input, weight, bias, rows, in, out);
        with_each_isa([&](const KernelTable& table) {
          CHECK_OK(difference(forward(input, weight.data(), bias, rows, in, out, ComputeType::kInt8), expected,
                              std::string(table.isa) + " " + std::to_string(rows) + " x " + std::to_string(in) + " x " +
                                  std::to_string(out)));
        });
      }
    }
  }
}

TEST(int8_products_of_the_largest_numbers_do_not_saturate) {
  const int64_t in = 4096;
  for (const float x : {127.0f, -127.0f}) {
    for (const float w : {127.0f, -127.0f}) {
      const Floats input(static_cast<std::size_t>(in), x), weight(static_cast<std::size_t>(in * 5), w);
      with_each_isa([&](const KernelTable& table) {
        for (const float y : forward(input, weight.data(), {}, 1, in, 5, ComputeType::kInt8)) {
          CHECK_EQ(y, x * w * 4096.0f);
        }
        CHECK(table.int8_vectors >= 1 && table.int8_vectors <= 4);
      });
    }
  }
}

TEST(int8_sums_of_the_most_inputs_are_exact) {
  const int64_t in = 133144;
  const Floats input(static_cast<std::size_t>(in), -1.0f);
  Floats weight(static_cast<std::size_t>(in), 1.0f);
  with_each_isa([&](const KernelTable&) {
    const float y = forward(input, weight.data(), {}, 1, in, 1, ComputeType::kInt8)[0];
    const float step = 1.0f / 127.0f;
    CHECK_EQ(y, static_cast<float>(-127 * 127 * in) * (step * step));
  });
}

TEST(bfloat16_weights_give_the_chains_of_their_float32_numbers) {
  for (const int64_t in : {0, 1, 2, 7, 16, 33, 130, 515, 1027}) {
    for (const int64_t out : {1, 7, 16, 33, 64, 65, 130}) {
      for (const int64_t rows : {1, 2, 3, 5, 6, 7, 9, 13}) {
        const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2),
                     bias = rows == 3 ? Floats() : random_floats(out, 3);
        const Floats rounded = rounded_to_bfloat16(weight);
        with_each_isa([&](const KernelTable& table) {
          const Floats expected = forward(input, rounded.data(), bias, rows, in, out, ComputeType::kFloat32);
          CHECK_OK(difference(forward(input, weight.data(), bias, rows, in, out, ComputeType::kBfloat16), expected,
                              std::string(table.isa) + " " + std::to_string(rows) + " x " + std::to_string(in) + " x " +
                                  std::to_string(out)));
        });
      }
    }
  }
}

TEST(bfloat16_numbers_are_rounded_to_the_nearest_even) {
  CHECK_EQ(to_bfloat16(1.0f), 0x3f80);
  CHECK_EQ(to_bfloat16(1.0f + 0x1p-8f), 0x3f80);    // half way, to even
  CHECK_EQ(to_bfloat16(1.0f + 0x1.8p-7f), 0x3f82);  // half way, to even
  CHECK_EQ(to_bfloat16(1.0f + 0x1.02p-8f), 0x3f81);
  CHECK_EQ(to_bfloat16(-kInf), 0xff80);
  CHECK_EQ(to_bfloat16(3.4e38f), 0x7f80);
  CHECK((to_bfloat16(kNan) & 0x7fff) > 0x7f80);
}

TEST(narrow_products_activate_what_the_elementwise_kernels_would) {
  const int64_t rows = 7, in = 60, out = 37;
  const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2), bias = random_floats(out, 3);
  with_each_isa([&](const KernelTable& table) {
    for (const ComputeType type : {ComputeType::kBfloat16, ComputeType::kInt8}) {
      const Floats plain = forward(input, weight.data(), bias, rows, in, out, type);
      Floats expected(plain.size());
      table.gelu(plain.data(), static_cast<int64_t>(plain.size()), expected.data());
      CHECK_OK(
          difference(forward(input, weight.data(), bias, rows, in, out, type, Activation::kGelu), expected, table.isa));
    }
  });
}

TEST(weights_that_are_stored_narrow_give_the_same_bits) {
  const int64_t rows = 3, in = 45, out = 21;
  const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2);
  std::vector<uint16_t> halves;
  for (const float w : weight) halves.push_back(to_bfloat16(w));
  std::vector<int8_t> bytes;
  Floats scales;
  for (int64_t o = 0; o < out; ++o) {
    const Quantized q = quantize(weight.data() + o * in, in);
    for (const int value : q.values) bytes.push_back(static_cast<int8_t>(value));
    scales.push_back(q.scale);
  }
  const auto run = [&](const WeightView& view, ComputeType type) {
    return forward(input, view, {}, rows, in, out, type);
  };
  const WeightView quantized(bytes.data(), scales.data());
  CHECK_OK(difference(run(quantized, ComputeType::kInt8), run(weight.data(), ComputeType::kInt8), "int8"));
  CHECK_OK(difference(run(WeightView(halves.data()), ComputeType::kBfloat16),
                      run(weight.data(), ComputeType::kBfloat16), "bfloat16"));
  CHECK_OK(difference(run(WeightView(halves.data()), ComputeType::kFloat32),
                      run(rounded_to_bfloat16(weight).data(), ComputeType::kFloat32), "widened"));
  Floats widened;
  for (int64_t i = 0; i < out * in; ++i) {
    widened.push_back(static_cast<float>(bytes[static_cast<std::size_t>(i)]) *
                      scales[static_cast<std::size_t>(i / in)]);
  }
  CHECK_OK(difference(run(quantized, ComputeType::kFloat32), run(widened.data(), ComputeType::kFloat32), "scaled"));
}

TEST(narrow_layers_give_the_same_bits_for_any_batch_and_number_of_threads) {
  const int before = num_threads();
  const int64_t rows = 300, in = 130, out = 200;
  const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2), bias = random_floats(out, 3);
  with_each_isa([&](const KernelTable& table) {
    for (const ComputeType type : {ComputeType::kBfloat16, ComputeType::kInt8}) {
      const Linear linear(weight.data(), bias.data(), out, in, type);
      Floats expected(static_cast<std::size_t>(rows * out));
      set_num_threads(1);
      for (int64_t r = 0; r < rows; ++r) linear.forward(input.data() + r * in, 1, expected.data() + r * out);
      for (const int threads : {1, 2, 5}) {
        set_num_threads(threads);
        Floats output(expected.size());
        linear.forward(input.data(), rows, output.data());
        CHECK_OK(difference(output, expected, table.isa));
      }
    }
  });
  set_num_threads(before);
}

TEST(a_row_that_is_not_finite_is_nan_in_int8_and_leaves_the_others_alone) {
  const int64_t rows = 9, in = 20, out = 40;
  Floats input = random_floats(rows * in, 1);
  const Floats weight = random_floats(out * in, 2);
  const Floats before = forward(input, weight.data(), {}, rows, in, out, ComputeType::kInt8);
  input[4 * 20 + 3] = kNan;
  input[6 * 20 + 3] = kInf;
  const Floats after = forward(input, weight.data(), {}, rows, in, out, ComputeType::kInt8);
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::size_t row = i / 40;
    CHECK(row == 4 || row == 6 ? std::isnan(after[i]) : same(after[i], before[i]));
  }
}

TEST(int8_refuses_more_inputs_than_its_sums_can_hold) {
  const Floats weight(200000, 1.0f);
  CHECK_THROWS(std::invalid_argument, Linear(weight.data(), nullptr, 1, 200000, ComputeType::kInt8));
}
