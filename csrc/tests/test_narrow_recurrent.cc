// Recurrent layers with bfloat16 and int8 weights.
#include <cstring>
#include <vector>

#include "arrays.h"
#include "layers/linear.h"
#include "layers/recurrent.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr int64_t kSize = 30, kHidden = 37;
const std::vector<int64_t> kOffsets = {0, 9, 9, 10, 24};
constexpr Cell kCells[] = {Cell::kRnnTanh, Cell::kRnnRelu, Cell::kLstm, Cell::kGru};

struct Layer {
  Cell cell;
  Floats w_ih, w_hh, b_ih, b_hh;

  explicit Layer(Cell c) : cell(c) {
    const int64_t rows = gate_count(c) * kHidden;
    w_ih = random_floats(rows * kSize, 1, -0.3f, 0.3f);
    w_hh = random_floats(rows * kHidden, 2, -0.3f, 0.3f);
    b_ih = random_floats(rows, 3);
    b_hh = random_floats(rows, 4);
  }
  Recurrent pack(ComputeType type) const {
    return Recurrent(cell, {{w_ih.data(), w_hh.data(), b_ih.data(), b_hh.data()}}, kSize, kHidden, false, false, type);
  }
};

/// Outputs, then last states.
Floats run(const Recurrent& layer, const Floats& input, const std::vector<int64_t>& offsets) {
  const auto batch = static_cast<int64_t>(offsets.size()) - 1;
  Floats output(static_cast<std::size_t>(offsets.back() * kHidden)), h_n(static_cast<std::size_t>(batch * kHidden)),
      c_n(h_n.size());
  layer.forward(input.data(), offsets.data(), batch, nullptr, nullptr, output.data(), h_n.data(), c_n.data());
  output.insert(output.end(), h_n.begin(), h_n.end());
  if (layer.cell() == Cell::kLstm) output.insert(output.end(), c_n.begin(), c_n.end());
  return output;
}

Floats rounded(const Floats& values) {
  Floats result(values);
  for (float& value : result) {
    const uint32_t bits = static_cast<uint32_t>(to_bfloat16(value)) << 16;
    std::memcpy(&value, &bits, sizeof bits);
  }
  return result;
}

void with_each_isa(const std::function<void(const KernelTable&)>& body) {
  const std::string before = kernels().isa;
  for_each_isa([&](const KernelTable& table) {
    use_isa(table.isa);
    body(table);
  });
  use_isa(before);
}

}  // namespace

TEST(bfloat16_recurrent_layers_give_the_bits_of_their_rounded_weights) {
  const Floats input = random_floats(kOffsets.back() * kSize, 5);
  for (const Cell cell : kCells) {
    const Layer layer(cell);
    Layer narrow(cell);
    narrow.w_ih = rounded(narrow.w_ih);
    narrow.w_hh = rounded(narrow.w_hh);
    with_each_isa([&](const KernelTable& table) {
      CHECK_OK(difference(run(layer.pack(ComputeType::kBfloat16), input, kOffsets),
                          run(narrow.pack(ComputeType::kFloat32), input, kOffsets), table.isa));
    });
  }
}

TEST(int8_recurrent_layers_multiply_and_step_as_dense_layers_and_cells_do) {
  // A hidden state of one step from zeros: the products of the input alone, checked against a dense layer.
  const Layer layer(Cell::kRnnTanh);
  const Floats input = random_floats(kSize, 6);
  with_each_isa([&](const KernelTable& table) {
    Floats bias(layer.b_ih);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += layer.b_hh[i];
    const Linear dense(layer.w_ih.data(), bias.data(), kHidden, kSize, ComputeType::kInt8);
    const Linear inner(layer.w_hh.data(), nullptr, kHidden, kHidden, ComputeType::kInt8);
    Floats first(kHidden);
    dense.forward(input.data(), 1, first.data(), Activation::kTanh);
    const Floats twice = [&] {
      Floats both(input);
      both.insert(both.end(), input.begin(), input.end());
      return run(layer.pack(ComputeType::kInt8), both, {0, 2});
    }();
    CHECK_OK(difference(Floats(twice.begin(), twice.begin() + kHidden), first, table.isa));
    // The second step adds W_hh h, whose rounding is that of one more fma.
    Floats sums(kHidden), product(kHidden);
    dense.forward(input.data(), 1, sums.data());
    inner.forward(first.data(), 1, product.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      CHECK(std::fabs(twice[kHidden + i] - std::tanh(sums[i] + product[i])) < 1e-6f);
    }
  });
}

TEST(narrow_recurrent_layers_give_the_same_bits_in_any_batch_and_on_every_instruction_set) {
  const int before = num_threads();
  const Floats input = random_floats(kOffsets.back() * kSize, 5);
  for (const Cell cell : kCells) {
    const Layer layer(cell);
    for (const ComputeType type : {ComputeType::kBfloat16, ComputeType::kInt8}) {
      Floats first;
      with_each_isa([&](const KernelTable& table) {
        const Recurrent packed = layer.pack(type);
        for (const int threads : {1, 3}) {
          set_num_threads(threads);
          const Floats together = run(packed, input, kOffsets);
          if (first.empty()) first = together;
          CHECK_OK(difference(together, first, table.isa));
          const Floats tail(input.begin() + 10 * kSize, input.end());  // the last sequence alone
          const Floats alone = run(packed, tail, {0, 14});
          CHECK_OK(difference(Floats(alone.begin(), alone.begin() + 14 * kHidden),
                              Floats(together.begin() + 10 * kHidden, together.begin() + 24 * kHidden), table.isa));
        }
      });
    }
  }
  set_num_threads(before);
}
