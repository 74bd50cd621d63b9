// The bits of fixed cases, the same on every processor: x86 and ARM agree through the constants here.
#include <cstring>
#include <sstream>

#include "arrays.h"
#include "layers/linear.h"
#include "layers/recurrent.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

/// FNV-1a over the bytes of the floats, the lowest byte of each first.
uint64_t hash(const Floats& values) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; ++i) h = (h ^ ((bits >> 8 * i) & 0xff)) * 0x100000001b3u;
  }
  return h;
}

Floats dense(ComputeType type) {
  const int64_t rows = 5, in = 100, out = 70;
  const Floats input = random_floats(rows * in, 1), weight = random_floats(out * in, 2), bias = random_floats(out, 3);
  Floats output(static_cast<std::size_t>(rows * out));
  Linear(weight.data(), bias.data(), out, in, type).forward(input.data(), rows, output.data(), Activation::kGelu);
  return output;
}

Floats recurrent(Cell cell, ComputeType type) {
  const int64_t size = 21, hidden = 35, offsets[] = {0, 7, 7, 18};
  const int64_t rows = gate_count(cell) * hidden;
  const Floats w_ih = random_floats(rows * size, 4, -0.3f, 0.3f), w_hh = random_floats(rows * hidden, 5, -0.3f, 0.3f);
  const Floats b_ih = random_floats(rows, 6), b_hh = random_floats(rows, 7), input = random_floats(18 * size, 8);
  const Recurrent layer(cell, {{w_ih.data(), w_hh.data(), b_ih.data(), b_hh.data()}}, size, hidden, false, false, type);
  Floats output(static_cast<std::size_t>(18 * hidden)), h_n(static_cast<std::size_t>(3 * hidden)), c_n(h_n.size());
  layer.forward(input.data(), offsets, 3, nullptr, nullptr, output.data(), h_n.data(), c_n.data());
  return output;
}

Floats rows_of_softmax_and_norm() {
  const Floats input = random_floats(6 * 77, 9, -5.0f, 5.0f), weight = random_floats(77, 10);
  Floats output(input.size()), normed(input.size());
  kernels().log_softmax(input.data(), 6, 77, output.data());
  kernels().layer_norm(output.data(), 6, 77, weight.data(), weight.data(), 1e-5f, normed.data());
  return normed;
}

}  // namespace

TEST(fixed_cases_have_the_same_bits_on_every_processor) {
  const struct {
    const char* name;
    Floats (*compute)();
    uint64_t expected;
  } cases[] = {
      {"dense float32", [] { return dense(ComputeType::kFloat32); }, 0xff38800b171b20e4u},
      {"dense bfloat16", [] { return dense(ComputeType::kBfloat16); }, 0x9752596ddff12769u},
      {"dense int8", [] { return dense(ComputeType::kInt8); }, 0x69857833d0d94c47u},
      {"lstm float32", [] { return recurrent(Cell::kLstm, ComputeType::kFloat32); }, 0x1482c2826e1393c9u},
      {"lstm bfloat16", [] { return recurrent(Cell::kLstm, ComputeType::kBfloat16); }, 0xa2f21902fff9414eu},
      {"lstm int8", [] { return recurrent(Cell::kLstm, ComputeType::kInt8); }, 0xba18cf03c39b9386u},
      {"gru int8", [] { return recurrent(Cell::kGru, ComputeType::kInt8); }, 0x20b43e386155c194u},
      {"rnn bfloat16", [] { return recurrent(Cell::kRnnTanh, ComputeType::kBfloat16); }, 0x1801772b9a81c659u},
      {"log_softmax, layer_norm", rows_of_softmax_and_norm, 0x6fe7dbc3b19bf4d3u},
  };
  const std::string before = kernels().isa;
  for_each_isa([&](const KernelTable& table) {
    use_isa(table.isa);
    for (const auto& c : cases) {
      const uint64_t actual = hash(c.compute());
      std::ostringstream message;
      if (actual != c.expected) message << c.name << " on " << table.isa << ": 0x" << std::hex << actual;
      CHECK_OK(message.str());
    }
  });
  use_isa(before);
}
