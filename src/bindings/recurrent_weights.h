// The weights of a recurrent layer as Python gives them, checked.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "array.h"
#include "layers/recurrent.h"

namespace fastseq::bindings {

/// weight_ih (G*H, I), weight_hh (G*H, H), bias_ih (G*H), bias_hh (G*H); biases may be None.
using RecurrentArrays = std::tuple<FloatArray, FloatArray, std::optional<FloatArray>, std::optional<FloatArray>>;

struct CheckedRecurrent {
  Cell cell;
  int64_t input_size, hidden_size;
  std::vector<RecurrentWeights> weights;  // views of the arrays
};

inline Cell parse_cell(const std::string& name) {
  if (name == "rnn_tanh") return Cell::kRnnTanh;
  if (name == "rnn_relu") return Cell::kRnnRelu;
  if (name == "lstm") return Cell::kLstm;
  if (name == "gru") return Cell::kGru;
  throw std::invalid_argument("cell is '" + name + "'; expected rnn_tanh, rnn_relu, lstm or gru");
}

inline CheckedRecurrent check_recurrent(const std::string& cell_name, const std::vector<RecurrentArrays>& arrays,
                                        bool bidirectional) {
  CheckedRecurrent checked{parse_cell(cell_name), 0, 0, {}};
  const std::size_t directions = bidirectional ? 2 : 1;
  if (arrays.empty() || arrays.size() % directions != 0) {
    throw std::invalid_argument("weights has " + std::to_string(arrays.size()) + " entries; expected " +
                                (bidirectional ? "two" : "one") + " for each layer");
  }
  const FloatArray& first = std::get<0>(arrays.front());
  require_shape(first, "weight_ih", {kAny, kAny});
  require_shape(std::get<1>(arrays.front()), "weight_hh", {kAny, kAny});
  checked.input_size = first.shape(1);
  checked.hidden_size = std::get<1>(arrays.front()).shape(1);
  const int64_t rows = gate_count(checked.cell) * checked.hidden_size;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto& [weight_ih, weight_hh, bias_ih, bias_hh] = arrays[i];
    const int64_t columns =
        i < directions ? checked.input_size : static_cast<int64_t>(directions) * checked.hidden_size;
    require_shape(weight_ih, "weight_ih", {rows, columns});
    require_shape(weight_hh, "weight_hh", {rows, checked.hidden_size});
    if (bias_ih) require_shape(*bias_ih, "bias_ih", {rows});
    if (bias_hh) require_shape(*bias_hh, "bias_hh", {rows});
    checked.weights.push_back({weight_ih.data(), weight_hh.data(), data_or_null(bias_ih), data_or_null(bias_hh)});
  }
  return checked;
}

}  // namespace fastseq::bindings
