// Stacked, bidirectional RNN, LSTM and GRU over ragged batches.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/packed.h"

namespace fastseq {

/// One direction of one layer, as PyTorch stores it; biases may be null. G gates: 1, 4 (i f g o), 3 (r z n).
struct RecurrentWeights {
  WeightView weight_ih;  // (G * hidden_size, input_size)
  WeightView weight_hh;  // (G * hidden_size, hidden_size)
  const float* bias_ih;  // (G * hidden_size)
  const float* bias_hh;  // (G * hidden_size)
};

int gate_count(Cell cell);

/// One direction of one layer, packed.
class RecurrentDirection {
 public:
  RecurrentDirection(Cell cell, const RecurrentWeights& weights, int64_t input_size, int64_t hidden_size,
                     ComputeType compute_type);

  int64_t input_size() const { return weight_ih_.in_features(); }
  int64_t panel_count() const { return weight_hh_.panel_count(); }
  int64_t gates_width() const { return weight_hh_.panel_count() * weight_hh_.width(); }

  /// gates (rows, gates_width) = biases + input (rows, input_size) @ weight_ih^T, for the units of some panels.
  void project(const float* input, int64_t input_stride, int64_t rows, int64_t panel_begin, int64_t panel_end,
               float* gates) const;
  /// One time step for the units of some panels; all (rows, hidden_size) without gaps, `cell` for an LSTM only.
  /// `descending` takes the panels from the last to the first: what the step before left in the cache comes first.
  void step(const float* gates, int64_t rows, int64_t panel_begin, int64_t panel_end, bool descending,
            const float* hidden, float* cell, float* output) const;

 private:
  /// The step of a bfloat16 or int8 weight: products into a buffer, then the cells. int8 quantises each row of h.
  void step_apart(const RecurrentStepArgs& args) const;

  const KernelTable* kernels_;
  Cell cell_;
  int64_t hidden_size_;
  PackedMatrix weight_ih_, weight_hh_;
  Buffer<float> bias_;    // (panel_count * gates * lanes): both biases, without the recurrent one of a GRU's n
  Buffer<float> bias_n_;  // (panel_count * lanes): that one
};

class TokenGates;

/// What the first layer reads: vectors (N, input_size), or N tokens whose gates are known.
struct RecurrentInput {
  RecurrentInput() = default;
  RecurrentInput(const float* input) : vectors(input) {}  // implicit: most inputs are vectors
  RecurrentInput(const int32_t* tokens, const TokenGates& gates) : ids(tokens), token_gates(&gates) {}

  const float* vectors = nullptr;
  const int32_t* ids = nullptr;
  const TokenGates* token_gates = nullptr;
};

class Recurrent {
 public:
  /// weights: layer 0 forward, layer 0 reverse (if bidirectional), layer 1 forward, ... `residual`: every layer but
  /// the first adds its input to its outputs.
  Recurrent(Cell cell, const std::vector<RecurrentWeights>& weights, int64_t input_size, int64_t hidden_size,
            bool bidirectional, bool residual = false, ComputeType compute_type = ComputeType::kFloat32);

  Cell cell() const { return cell_; }
  int64_t input_size() const { return directions_.front().input_size(); }
  int64_t hidden_size() const { return hidden_size_; }
  int64_t num_directions() const { return num_directions_; }
  int64_t num_layers() const { return static_cast<int64_t>(directions_.size()) / num_directions_; }
  int64_t output_size() const { return num_directions_ * hidden_size_; }

  /// Runs B sequences; sequence b is tokens [offsets[b], offsets[b + 1]).
  ///   input of N tokens, output (N, output_size)
  ///   h0, c0, h_n, c_n (num_layers * num_directions, B, hidden_size); h0 and c0 may be null (zeros), c_n for an
  ///   LSTM only. h_n is each sequence's own last state, h0 where it is empty.
  void forward(const RecurrentInput& input, const int64_t* offsets, int64_t batch_size, const float* h0,
               const float* c0, float* output, float* h_n, float* c_n) const;

  /// One step of every layer (not bidirectional) for the rows of a decoder:
  ///   input of `rows` tokens, hidden and cell (num_layers, rows, hidden_size) updated in place; output
  ///   (rows, hidden_size) or null: unless layers are residual it is the last layer of `hidden`.
  void step(const RecurrentInput& input, int64_t rows, float* hidden, float* cell, float* output = nullptr) const;

 private:
  friend class TokenGates;

  Cell cell_;
  int64_t hidden_size_;
  int64_t num_directions_;
  bool residual_;
  std::vector<RecurrentDirection> directions_;
};

/// The gates of the first layer for each token of a small vocabulary, before their recurrent part: what the layer makes
/// of the rows of an embedding, once and for all.
class TokenGates {
 public:
  TokenGates() = default;
  /// embedding (vocab_size, input_size). Stays empty if it has more rows than columns: the table would be larger than
  /// the weight that it replaces.
  TokenGates(const Recurrent& layers, const float* embedding, int64_t vocab_size);

  bool empty() const { return table_.empty(); }
  /// (gates_width) of a direction.
  const float* row(int direction, int64_t id) const {
    return table_[static_cast<std::size_t>(direction)].data() + id * width_;
  }

 private:
  int64_t width_ = 0;
  std::vector<Buffer<float>> table_;  // (vocab_size, gates_width) of each direction
};

}  // namespace fastseq
