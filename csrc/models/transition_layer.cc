#include "models/transition_layer.h"

#include <cstring>

namespace fastseq {
TransitionLayer::TransitionLayer(const TensorMap& tensors, const std::string& name, const TransitionOptions& options,
                                 int64_t depth, int64_t input_size, int64_t hidden_size)
    : hidden_size_(hidden_size), has_cell_(options.has_cell()) {
  for (int64_t i = 0; i < depth; ++i) {
    const std::string cell = name + "." + std::to_string(i);
    cells_.push_back(make_transition_cell(tensors, cell, options, i == 0 ? input_size : 0, hidden_size));
  }
}

void TransitionLayer::advance(float* gates, int64_t rows, float* hidden, float* cell,
                              TransitionScratch& scratch) const {
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (i > 0) {
      scratch.gates.reserve_discard(rows * cells_[i]->gates_width());
      gates = scratch.gates.data();
      cells_[i]->project(hidden, rows, gates);
    }
    cells_[i]->step(gates, rows, hidden, cell, scratch);
  }
}

void TransitionLayer::step(const float* input, int64_t rows, float* hidden, float* cell) const {
  Buffer<float> gates(rows * cells_.front()->gates_width());
  TransitionScratch scratch;
  cells_.front()->project(input, rows, gates.data());
  advance(gates.data(), rows, hidden, cell, scratch);
}

void TransitionLayer::forward(const float* input, const RaggedOrder& order, int64_t tokens, bool reverse, float* output,
                              int64_t output_stride) const {
  if (tokens == 0) return;
  const int64_t width = cells_.front()->gates_width();
  Buffer<float> gates(tokens * width), running(order.batch_size() * width);
  auto hidden = Buffer<float>::zeros(order.batch_size() * hidden_size_);
  auto cell = Buffer<float>::zeros(has_cell_ ? hidden.size() : 0);
  TransitionScratch scratch;
  cells_.front()->project(input, tokens, gates.data());
  for (int64_t t = 0; t < order.steps(); ++t) {
    const int64_t rows = order.active(t);
    const auto token = [&](int64_t rank) { return order.token(rank, reverse ? order.length(rank) - 1 - t : t); };
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(running.data() + r * width, gates.data() + token(r) * width, bytes(width));
    }
    advance(running.data(), rows, hidden.data(), cell.data(), scratch);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(output + token(r) * output_stride, hidden.data() + r * hidden_size_, bytes(hidden_size_));
    }
  }
}

}  // namespace fastseq
