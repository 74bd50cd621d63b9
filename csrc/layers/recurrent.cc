#include "layers/recurrent.h"

#include <algorithm>
#include <cstring>

#include "layers/recurrent_run.h"

namespace fastseq {

int gate_count(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }

RecurrentDirection::RecurrentDirection(Cell cell, const RecurrentWeights& weights, int64_t input_size,
                                       int64_t hidden_size, ComputeType compute_type)
    : kernels_(&kernels()), cell_(cell), hidden_size_(hidden_size) {
  const KernelTable& table = *kernels_;
  const int gates = gate_count(cell);
  weight_ih_ = PackedMatrix::gated(table, weights.weight_ih, gates, hidden_size, input_size, compute_type);
  weight_hh_ = PackedMatrix::gated(table, weights.weight_hh, gates, hidden_size, hidden_size, compute_type);
  if (cell != Cell::kGru) {
    bias_ = pack_gated_bias(table, weights.bias_ih, weights.bias_hh, gates, hidden_size);
    return;
  }
  Buffer<float> recurrent_bias = Buffer<float>::zeros(gates * hidden_size);  // that of r and z
  if (weights.bias_hh != nullptr) std::copy_n(weights.bias_hh, 2 * hidden_size, recurrent_bias.data());
  bias_ = pack_gated_bias(table, weights.bias_ih, recurrent_bias.data(), gates, hidden_size);
  const float* bias_n = weights.bias_hh != nullptr ? weights.bias_hh + 2 * hidden_size : nullptr;
  bias_n_ = pack_gated_bias(table, bias_n, nullptr, 1, hidden_size);
}

void RecurrentDirection::project(const float* input, int64_t input_stride, int64_t rows, int64_t panel_begin,
                                 int64_t panel_end, float* gates) const {
  MatmulArgs args;
  args.input = input;
  args.rows = rows;
  args.input_stride = input_stride;
  args.out_features = gates_width();
  args.panel_begin = panel_begin;
  args.panel_end = panel_end;
  args.bias = bias_.data();
  args.output = gates;
  args.output_stride = gates_width();
  QuantizedRows quantized;
  if (weight_ih_.quantized()) {
    quantized = QuantizedRows(*kernels_, rows, input_size());
    quantized.fill(*kernels_, input, input_stride, 0, rows);
  }
  weight_ih_.multiply(*kernels_, args, quantized, 0);
}

void RecurrentDirection::step(const float* gates, int64_t rows, int64_t panel_begin, int64_t panel_end, bool descending,
                              const float* hidden, float* cell, float* output) const {
  RecurrentStepArgs args;
  args.cell = cell_;
  args.rows = rows;
  args.hidden_size = hidden_size_;
  args.panel_begin = panel_begin;
  args.panel_end = panel_end;
  args.descending = descending;
  args.panels = weight_hh_.panels();
  args.bias_n = bias_n_.data();
  args.gates = gates;
  args.gates_stride = gates_width();
  args.hidden = hidden;
  args.hidden_stride = hidden_size_;
  args.cell_state = cell;
  args.cell_stride = hidden_size_;
  args.output = output;
  args.output_stride = hidden_size_;
  if (weight_hh_.compute_type() != ComputeType::kFloat32) return step_apart(args);
  kernels_->recurrent_step(args);
}

void RecurrentDirection::step_apart(const RecurrentStepArgs& args) const {
  const int64_t lanes = kernels_->lanes, panel_width = weight_hh_.width(), first = args.panel_begin * panel_width;
  const auto bytes = static_cast<std::size_t>((args.panel_end - args.panel_begin) * panel_width) * sizeof(float);
  Buffer<float> sums(args.rows * gates_width());  // the chains go on from the gates; only these panels are used
  for (int64_t row = 0; row < args.rows; ++row) {
    float* to = sums.data() + row * gates_width();
    std::memcpy(to + first, args.gates + row * args.gates_stride + first, bytes);
    for (int64_t panel = args.panel_begin; cell_ == Cell::kGru && panel < args.panel_end; ++panel) {
      std::copy_n(bias_n_.data() + panel * lanes, lanes, to + panel * panel_width + 2 * lanes);
    }
  }
  MatmulArgs product;
  product.input = args.hidden;
  product.rows = args.rows;
  product.input_stride = args.hidden_stride;
  product.out_features = gates_width();
  product.panel_begin = args.panel_begin;
  product.panel_end = args.panel_end;
  product.output = sums.data();
  product.output_stride = gates_width();
  QuantizedRows quantized;
  if (weight_hh_.quantized()) {
    quantized = QuantizedRows(*kernels_, args.rows, hidden_size_);
    quantized.fill(*kernels_, args.hidden, args.hidden_stride, 0, args.rows);
  }
  weight_hh_.multiply(*kernels_, product, quantized, 0, true);
  kernels_->recurrent_cell(args, sums.data(), gates_width());
}

Recurrent::Recurrent(Cell cell, const std::vector<RecurrentWeights>& weights, int64_t input_size, int64_t hidden_size,
                     bool bidirectional, bool residual, ComputeType compute_type)
    : cell_(cell), hidden_size_(hidden_size), num_directions_(bidirectional ? 2 : 1), residual_(residual) {
  directions_.reserve(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool first_layer = static_cast<int64_t>(i) < num_directions_;
    directions_.emplace_back(cell, weights[i], first_layer ? input_size : output_size(), hidden_size, compute_type);
  }
}

void Recurrent::forward(const RecurrentInput& input, const int64_t* offsets, int64_t batch_size, const float* h0,
                        const float* c0, float* output, float* h_n, float* c_n) const {
  const int64_t tokens = batch_size > 0 ? offsets[batch_size] : 0;
  const int64_t state_size = batch_size * hidden_size_;
  Buffer<float> inner[2];  // outputs of the layers below the last, taken in turn
  const RaggedOrder order(offsets, batch_size);
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    const bool last = layer + 1 == num_layers();
    if (!last) inner[layer % 2].reserve_discard(tokens * output_size());
    LayerRun run;
    run.order = &order;
    run.input = layer == 0 ? input : RecurrentInput(inner[(layer + 1) % 2].data());
    run.output = last ? output : inner[layer % 2].data();
    run.output_stride = output_size();
    run.hidden_size = hidden_size_;
    run.has_cell = cell_ == Cell::kLstm;
    for (int64_t d = 0; d < num_directions_; ++d) {
      const int64_t i = layer * num_directions_ + d;
      run.direction[d] = &directions_[static_cast<std::size_t>(i)];
      run.h0[d] = h0 != nullptr ? h0 + i * state_size : nullptr;
      run.c0[d] = c0 != nullptr ? c0 + i * state_size : nullptr;
      run.h_n[d] = h_n + i * state_size;
      run.c_n[d] = c_n != nullptr ? c_n + i * state_size : nullptr;
    }
    run_layer(run, static_cast<int>(num_directions_));
    if (residual_ && layer > 0) kernels().add(run.output, run.input.vectors, tokens * output_size(), run.output);
  }
}

void Recurrent::step(const RecurrentInput& input, int64_t rows, float* hidden, float* cell, float* output) const {
  const int64_t state_size = rows * hidden_size_, gates_width = directions_.front().gates_width();
  Buffer<float> next(state_size);
  Buffer<float> gates(rows * gates_width);
  Buffer<float> sum;  // output of a residual layer; a later one adds to it
  const float* below = input.vectors;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    const RecurrentDirection& direction = directions_[static_cast<std::size_t>(layer)];
    float* h = hidden + layer * state_size;
    float* c = cell != nullptr ? cell + layer * state_size : nullptr;
    if (layer == 0 && input.ids != nullptr) {
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(gates.data() + r * gates_width, input.token_gates->row(0, input.ids[r]),
                    static_cast<std::size_t>(gates_width) * sizeof(float));
      }
    } else {
      direction.project(below, direction.input_size(), rows, 0, direction.panel_count(), gates.data());
    }
    direction.step(gates.data(), rows, 0, direction.panel_count(), false, h, c, next.data());
    std::memcpy(h, next.data(), static_cast<std::size_t>(state_size) * sizeof(float));
    if (residual_ && layer > 0) {
      sum.reserve_discard(state_size);
      kernels().add(h, below, state_size, sum.data());
      below = sum.data();
    } else {
      below = h;
    }
  }
  if (output != nullptr) std::memcpy(output, below, static_cast<std::size_t>(state_size) * sizeof(float));
}

TokenGates::TokenGates(const Recurrent& layers, const float* embedding, int64_t vocab_size) {
  if (vocab_size > layers.input_size()) return;
  for (int64_t d = 0; d < layers.num_directions(); ++d) {
    const RecurrentDirection& direction = layers.directions_[static_cast<std::size_t>(d)];
    width_ = direction.gates_width();
    table_.emplace_back(vocab_size * width_);
    direction.project(embedding, direction.input_size(), vocab_size, 0, direction.panel_count(), table_.back().data());
  }
}

}  // namespace fastseq
