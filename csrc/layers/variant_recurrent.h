// Stacked, bidirectional recurrent layers whose cells have options; the standard ones are faster, see recurrent.h.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/variant_cell.h"

namespace fastseq {

class VariantRecurrent {
 public:
  /// weights: layer 0 forward, layer 0 reverse (if bidirectional), layer 1 forward, ...; state_size is P. `residual`:
  /// every layer but the first adds its input to its outputs.
  VariantRecurrent(const VariantOptions& options, const std::vector<VariantWeights>& weights, int64_t input_size,
                   int64_t hidden_size, int64_t state_size, bool bidirectional, bool residual);

  const VariantOptions& options() const { return options_; }
  int64_t input_size() const { return cells_.front().sizes().input; }
  int64_t hidden_size() const { return cells_.front().sizes().hidden; }
  int64_t state_size() const { return cells_.front().sizes().state; }
  int64_t num_directions() const { return num_directions_; }
  int64_t num_layers() const { return static_cast<int64_t>(cells_.size()) / num_directions_; }
  int64_t output_size() const { return num_directions_ * state_size(); }

  /// Runs B sequences; sequence b is tokens [offsets[b], offsets[b + 1]).
  ///   input (N, input_size), output (N, output_size)
  ///   h0, h_n (num_layers * num_directions, B, state_size), c0, c_n (..., hidden_size), each only where the cell has
  ///   such a state; h0 and c0 may be null (zeros).
  void forward(const float* input, const int64_t* offsets, int64_t batch_size, const float* h0, const float* c0,
               float* output, float* h_n, float* c_n) const;

  /// One step of every layer (not bidirectional): input (rows, input_size), output (rows, output_size), hidden and
  /// cell as above with B = rows, updated in place.
  void step(const float* input, int64_t rows, float* hidden, float* cell, float* output) const;

 private:
  struct Run;
  void run_share(const Run& run, int64_t d, int64_t begin, int64_t end) const;

  VariantOptions options_;
  int64_t num_directions_;
  bool residual_;
  std::vector<VariantCell> cells_;
};

}  // namespace fastseq
