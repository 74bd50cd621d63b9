#include "models/transition_layer.h"

#include <cstring>

namespace fastseq {
namespace {

std::size_t bytes(int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

}  // namespace

TransitionLayer::TransitionLayer(const TensorMap& tensors, const std::string& name, int64_t depth, int64_t input_size,
                                 int64_t hidden_size)
    : hidden_size_(hidden_size) {
  const int64_t gates = gate_count(Cell::kGru) * hidden_size;
  const Buffer<float> nothing(1);  // the weight of no input
  for (int64_t i = 0; i < depth; ++i) {
    const std::string cell = name + "." + std::to_string(i);
    const RecurrentWeights weights{
        i == 0 ? tensors.weight(cell + ".weight_ih", {gates, input_size}) : WeightView(nothing.data()),
        tensors.weight(cell + ".weight_hh", {gates, hidden_size}), tensors.get(cell + ".bias_ih", {gates}),
        tensors.get(cell + ".bias_hh", {gates})};
    cells_.emplace_back(Cell::kGru, weights, i == 0 ? input_size : 0, hidden_size, tensors.compute_type());
  }
}

/// What a step does with the gates of the first cell.
void TransitionLayer::advance(const float* gates, int64_t rows, float* hidden) const {
  Buffer<float> next(rows * hidden_size_), own(cells_.size() > 1 ? rows * cells_.front().gates_width() : 0);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const RecurrentDirection& cell = cells_[i];
    if (i > 0) cell.project(hidden, 0, rows, 0, cell.panel_count(), own.data());
    cell.step(i == 0 ? gates : own.data(), rows, 0, cell.panel_count(), false, hidden, nullptr, next.data());
    std::memcpy(hidden, next.data(), bytes(rows * hidden_size_));
  }
}

void TransitionLayer::step(const float* input, int64_t rows, float* hidden) const {
  const RecurrentDirection& first = cells_.front();
  Buffer<float> gates(rows * first.gates_width());
  first.project(input, first.input_size(), rows, 0, first.panel_count(), gates.data());
  advance(gates.data(), rows, hidden);
}

void TransitionLayer::forward(const float* input, const RaggedOrder& order, int64_t tokens, bool reverse, float* output,
                              int64_t output_stride) const {
  if (tokens == 0) return;
  const RecurrentDirection& first = cells_.front();
  const int64_t width = first.gates_width();
  Buffer<float> gates(tokens * width), running(order.batch_size() * width);
  auto hidden = Buffer<float>::zeros(order.batch_size() * hidden_size_);
  first.project(input, first.input_size(), tokens, 0, first.panel_count(), gates.data());
  for (int64_t t = 0; t < order.steps(); ++t) {
    const int64_t rows = order.active(t);
    const auto token = [&](int64_t rank) { return order.token(rank, reverse ? order.length(rank) - 1 - t : t); };
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(running.data() + r * width, gates.data() + token(r) * width, bytes(width));
    }
    advance(running.data(), rows, hidden.data());
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(output + token(r) * output_stride, hidden.data() + r * hidden_size_, bytes(hidden_size_));
    }
  }
}

}  // namespace fastseq
