// Recurrent layers with deep transitions (Miceli Barone et al., 2017): several GRU cells in each time step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/recurrent_run.h"
#include "models/tensors.h"

namespace fastseq {

/// One direction of a layer. The first cell reads the input and the state of the step before, each other one what the
/// cell before it has made of the state, and nothing else.
class TransitionLayer {
 public:
  /// Named tensors, of cell i: `name`.i.weight_ih (3 * hidden, input), only of cell 0, `name`.i.weight_hh
  /// (3 * hidden, hidden), `name`.i.bias_ih and `name`.i.bias_hh (3 * hidden).
  TransitionLayer(const TensorMap& tensors, const std::string& name, int64_t depth, int64_t input_size,
                  int64_t hidden_size);

  /// One time step: input (rows, input_size), hidden (rows, hidden_size) updated in place.
  void step(const float* input, int64_t rows, float* hidden) const;

  /// All steps of ragged sequences, from zeros: input (N, input_size); token i goes to output + i * output_stride.
  void forward(const float* input, const RaggedOrder& order, int64_t tokens, bool reverse, float* output,
               int64_t output_stride) const;

 private:
  void advance(const float* gates, int64_t rows, float* hidden) const;

  int64_t hidden_size_;
  std::vector<RecurrentDirection> cells_;
};

}  // namespace fastseq
