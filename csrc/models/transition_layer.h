// Recurrent layers with deep transitions (Miceli Barone et al., 2017): several cells in each time step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "layers/recurrent_run.h"
#include "models/transition_cell.h"

namespace fastseq {

/// One direction of a layer. The first cell reads the input and the state of the step before, each other one what the
/// cell before it has made of the state, and nothing else.
class TransitionLayer {
 public:
  /// Tensors of cell i: those of make_transition_cell with the name `name`.i, for cell 0 with input.
  TransitionLayer(const TensorMap& tensors, const std::string& name, const TransitionOptions& options, int64_t depth,
                  int64_t input_size, int64_t hidden_size);

  /// One time step: input (rows, input_size), hidden and, of LSTMs, cell (rows, hidden_size) updated in place.
  void step(const float* input, int64_t rows, float* hidden, float* cell) const;

  /// All steps of ragged sequences, from zeros: input (N, input_size); token i goes to output + i * output_stride.
  void forward(const float* input, const RaggedOrder& order, int64_t tokens, bool reverse, float* output,
               int64_t output_stride) const;

 private:
  /// What a step does with the gates of the first cell, which are used up.
  void advance(float* gates, int64_t rows, float* hidden, float* cell, TransitionScratch& scratch) const;

  int64_t hidden_size_;
  bool has_cell_;
  std::vector<std::unique_ptr<TransitionCell>> cells_;
};

}  // namespace fastseq
