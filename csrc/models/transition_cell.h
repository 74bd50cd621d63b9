// One recurrent cell of a layer with deep transitions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "models/tensors.h"

namespace fastseq {

enum class TransitionKind {
  kTanh,
  kRelu,
  kLstm,
  kGru,
  kGruNematus,          // the GRU whose norms are of r and z together and of the candidate alone
  kMultiplicativeLstm,  // Krause et al., 2016: the LSTM of m = (W_mx x) (W_mh h) instead of h
  kMultiplicativeGru,   // the same of a GRU, which also keeps m where it would keep h
};

struct TransitionOptions {
  TransitionKind kind = TransitionKind::kGru;
  bool layer_norm = false;  // of W_ih x and W_hh h, each over all gates unless the kind says otherwise

  bool has_cell() const { return kind == TransitionKind::kLstm || kind == TransitionKind::kMultiplicativeLstm; }
};

/// Memory of a step, kept from one to the next.
struct TransitionScratch {
  Buffer<float> gates, sums, mixed, next;
};

class TransitionCell {
 public:
  virtual ~TransitionCell() = default;
  virtual int64_t gates_width() const = 0;
  /// gates (rows, gates_width): all that depends on input (rows, input_size) alone; with input_size 0 on nothing.
  virtual void project(const float* input, int64_t rows, float* gates) const = 0;
  /// One step: hidden and cell (rows, hidden_size) are updated in place, `cell` is for LSTMs only; gates are used up.
  virtual void step(float* gates, int64_t rows, float* hidden, float* cell, TransitionScratch& scratch) const = 0;
};

/// Named tensors, G gates of H units: `name`.weight_ih (G * H, input_size) if there is input, `name`.weight_hh
/// (G * H, H), `name`.bias_ih and `name`.bias_hh (G * H); with layer_norm also `name`.norm_ih if there is input and
/// `name`.norm_hh (G * H), of kGruNematus also offset_ih and offset_hh; of multiplicative cells `name`.weight_mx
/// (H, input_size), weight_mh (H, H), offset_mx, offset_mh and with layer_norm norm_mx, norm_mh (H).
std::unique_ptr<TransitionCell> make_transition_cell(const TensorMap& tensors, const std::string& name,
                                                     const TransitionOptions& options, int64_t input_size,
                                                     int64_t hidden_size);

}  // namespace fastseq
