// Cells of layers with deep transitions, and the dense layers with norms that they are made of.
#include <algorithm>
#include <map>

#include "arrays.h"
#include "models/normed_linear.h"
#include "models/transition_layer.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr int64_t kInput = 5, kHidden = 19, kRows = 6;

/// Random tensors by name.
class RandomTensors {
 public:
  void add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t size = 1;
    for (const int64_t n : shape) size *= n;
    shapes_[name] = shape;
    values_[name] = random_floats(size, values_.size() + 1);
  }
  const Floats& values(const std::string& name) const { return values_.at(name); }

  TensorMap map() const {
    std::set<std::string> names;
    for (const auto& entry : shapes_) names.insert(entry.first);
    return TensorMap(names, [this](const std::string& name) {
      Tensor tensor;
      tensor.data = values_.at(name).data();
      tensor.shape = shapes_.at(name);
      return tensor;
    });
  }

 private:
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::map<std::string, Floats> values_;
};

int64_t gates_of(TransitionKind kind) {
  switch (kind) {
    case TransitionKind::kTanh:
    case TransitionKind::kRelu:
      return 1;
    case TransitionKind::kLstm:
    case TransitionKind::kMultiplicativeLstm:
      return 4;
    default:
      return 3;
  }
}

void add_cell(RandomTensors& tensors, const std::string& name, const TransitionOptions& options, int64_t input_size) {
  const int64_t gates = gates_of(options.kind) * kHidden;
  const bool nematus = options.kind == TransitionKind::kGruNematus;
  const auto add = [&](const std::string& end, int64_t rows, int64_t columns, bool offset) {
    tensors.add(name + ".weight_" + end, {rows, columns});
    if (offset) tensors.add(name + ".offset_" + end, {rows});
    if (options.layer_norm) tensors.add(name + ".norm_" + end, {rows});
  };
  if (input_size > 0) add("ih", gates, input_size, nematus);
  add("hh", gates, kHidden, nematus);
  tensors.add(name + ".bias_ih", {gates});
  tensors.add(name + ".bias_hh", {gates});
  if (options.kind == TransitionKind::kMultiplicativeLstm || options.kind == TransitionKind::kMultiplicativeGru) {
    add("mx", kHidden, input_size, true);
    add("mh", kHidden, kHidden, true);
  }
}

std::vector<TransitionOptions> all_options() {
  std::vector<TransitionOptions> result;
  for (const bool layer_norm : {false, true}) {
    for (const TransitionKind kind :
         {TransitionKind::kTanh, TransitionKind::kRelu, TransitionKind::kLstm, TransitionKind::kGru,
          TransitionKind::kMultiplicativeLstm, TransitionKind::kMultiplicativeGru, TransitionKind::kGruNematus}) {
      if (layer_norm || kind != TransitionKind::kGruNematus) result.push_back({kind, layer_norm});
    }
  }
  return result;
}

int64_t depth_of(const TransitionOptions& options) {
  return options.kind >= TransitionKind::kMultiplicativeLstm ? 1 : 3;  // multiplicative cells all read input
}

RandomTensors tensors_of(const TransitionOptions& options) {
  RandomTensors tensors;
  for (int64_t i = 0; i < depth_of(options); ++i) {
    add_cell(tensors, "layer." + std::to_string(i), options, i == 0 ? kInput : 0);
  }
  return tensors;
}

std::string described(const TransitionOptions& options) {
  return "kind " + std::to_string(static_cast<int>(options.kind)) + (options.layer_norm ? ", normed" : "");
}

TransitionLayer layer_of(const TransitionOptions& options, const RandomTensors& tensors) {
  return TransitionLayer(tensors.map(), "layer", options, depth_of(options), kInput, kHidden);
}

}  // namespace

TEST(transition_layers_step_the_same_on_every_set_and_in_any_batch) {
  const std::string before = kernels().isa;
  for (const TransitionOptions& options : all_options()) {
    const RandomTensors tensors = tensors_of(options);
    const Floats input = random_floats(kRows * kInput, 91), h0 = random_floats(kRows * kHidden, 92),
                 c0 = random_floats(kRows * kHidden, 93);
    Floats first;
    for (const auto isa : available_isas()) {
      use_isa(isa);
      const TransitionLayer layer = layer_of(options, tensors);
      Floats hidden = h0, cell = c0;
      layer.step(input.data(), kRows, hidden.data(), cell.data());
      const std::string where = described(options) + " on " + std::string(isa);
      if (first.empty()) first = hidden;
      CHECK_OK(difference(hidden, first, where));
      CHECK(hidden != h0);
      Floats alone = h0, alone_cell = c0;
      for (int64_t r = 0; r < kRows; ++r) {
        layer.step(input.data() + r * kInput, 1, alone.data() + r * kHidden, alone_cell.data() + r * kHidden);
      }
      CHECK_OK(difference(alone, hidden, where + ", row by row"));
      CHECK_OK(difference(alone_cell, cell, where + ", cells row by row"));
      CHECK((cell != c0) == options.has_cell());
    }
  }
  use_isa(before);
}

TEST(transition_layers_read_ragged_sequences_step_by_step_in_both_directions) {
  const std::vector<int64_t> offsets{0, 3, 3, 7, 8};
  const int64_t tokens = offsets.back(), stride = kHidden + 2;
  for (const TransitionOptions& options : all_options()) {
    const RandomTensors tensors = tensors_of(options);
    const TransitionLayer layer = layer_of(options, tensors);
    const Floats input = random_floats(tokens * kInput, 94);
    for (const bool reverse : {false, true}) {
      Floats output(static_cast<std::size_t>(tokens * stride)), expected = output;
      layer.forward(input.data(), RaggedOrder(offsets.data(), 4), tokens, reverse, output.data(), stride);
      for (std::size_t b = 0; b + 1 < offsets.size(); ++b) {
        Floats hidden(kHidden), cell(kHidden);
        for (int64_t i = 0; i < offsets[b + 1] - offsets[b]; ++i) {
          const int64_t token = reverse ? offsets[b + 1] - 1 - i : offsets[b] + i;
          layer.step(input.data() + token * kInput, 1, hidden.data(), cell.data());
          std::copy(hidden.begin(), hidden.end(), expected.begin() + token * stride);
        }
      }
      CHECK_OK(difference(output, expected, described(options) + (reverse ? ", backwards" : "")));
    }
  }
}

TEST(normed_linear_is_a_product_and_two_norms) {
  constexpr int64_t kOut = 21, kSplit = 14;
  constexpr double kEps = 1e-5;
  RandomTensors tensors;
  tensors.add("w", {kOut, kInput});
  for (const char* name : {"offset", "norm", "bias"}) tensors.add(name, {kOut});
  const Floats input = random_floats(kRows * kInput, 95);
  for (const int64_t split : {int64_t{0}, kSplit}) {
    const NormedLinear layer(tensors.map(), {"w", "offset", "norm", "bias"}, kOut, kInput, 1e-5f, split);
    Floats output(kRows * kOut);
    layer.forward(input.data(), kRows, output.data());
    Doubles expected(output.size());
    for (int64_t r = 0; r < kRows; ++r) {
      Doubles sums(kOut);
      for (int64_t o = 0; o < kOut; ++o) {
        sums[o] = tensors.values("offset")[o];
        for (int64_t i = 0; i < kInput; ++i)
          sums[o] += 1.0 * input[r * kInput + i] * tensors.values("w")[o * kInput + i];
      }
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, split}, {split, kOut}}) {
        double mean = 0, variance = 0;
        for (int64_t o = begin; o < end; ++o) mean += sums[o] / static_cast<double>(end - begin);
        for (int64_t o = begin; o < end; ++o)
          variance += std::pow(sums[o] - mean, 2) / static_cast<double>(end - begin);
        for (int64_t o = begin; o < end; ++o) {
          const double normed = (sums[o] - mean) / std::sqrt(variance + kEps);
          expected[r * kOut + o] = normed * tensors.values("norm")[o] + tensors.values("bias")[o];
        }
      }
    }
    // Some forty roundings of numbers below 4.
    CHECK_OK(excess(output, expected, Doubles(output.size(), 4 * rounding(40)), "split " + std::to_string(split)));
  }
}
