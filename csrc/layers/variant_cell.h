// The recurrent cells with options, one direction of one layer: packed weights and a step.
#pragma once

#include <cstdint>
#include <limits>

#include "layers/linear.h"

namespace fastseq {

enum class VariantKind : int32_t {
  kRnn,
  kLstm,
  kGru,
  kMultiplicativeLstm,  // Krause et al., 2016: an LSTM of m = (W_mx x) (W_mh h) instead of h
  kSru,                 // Lei et al., 2018
  kSsru,                // Kim et al., 2019
};

struct VariantOptions {
  VariantKind kind = VariantKind::kLstm;
  bool coupled = false;     // LSTM: the forget gate is one minus the input gate (Greff et al., 2015); gates i g o
  bool reset_after = true;  // GRU: the reset gate scales W_hn h + b_hn (PyTorch), not h (Cho et al., 2014)
  float clip = std::numeric_limits<float>::infinity();
  float cell_clip = std::numeric_limits<float>::infinity();
  float norm_eps = 1e-5f;
  float skip_scale = 1.0f;

  /// Rows of weight_ih in units of the hidden size, without SRU's projected skip connection.
  int gates() const;
  bool has_hidden() const { return kind != VariantKind::kSru && kind != VariantKind::kSsru; }
  bool has_cell() const { return kind != VariantKind::kRnn && kind != VariantKind::kGru; }
};

/// H hidden_size, P size of h (the projection's, or H), G gates. All but weight_ih may be null where the cell has
/// none; with norm_ih and norm_hh the biases are those of the layer norms.
struct VariantWeights {
  const float* weight_ih = nullptr;    // (G * H, I); SRU with a projected skip connection ((G + 1) * H, I)
  const float* weight_hh = nullptr;    // (G * H, P)
  const float* bias_ih = nullptr;      // (G * H)
  const float* bias_hh = nullptr;      // (G * H)
  const float* weight_hr = nullptr;    // (P, H)
  const float* weight_peep = nullptr;  // LSTM (3 * H): i f o; coupled (2 * H): i o; SRU (2 * H): f r
  const float* norm_ih = nullptr;      // (G * H): layer norm of W_ih x
  const float* norm_hh = nullptr;      // (G * H): layer norm of W_hh h
  const float* norm_c = nullptr;       // LSTM (H): layer norm of c' on its way to h'
  const float* bias_c = nullptr;       // LSTM (H)
  const float* weight_mx = nullptr;    // multiplicative LSTM (H, I)
  const float* weight_mh = nullptr;    // multiplicative LSTM (H, H)
  CellActivation f, g, h;
};

struct VariantSizes {
  int64_t input = 0, hidden = 0, state = 0;  // I, H, P
  int64_t skip_column = -1;                  // SRU: the first column of x that is skipped along; -1: it is projected
};

/// Memory of a step, kept from one to the next.
struct VariantScratch {
  Buffer<float> sums;   // (rows, G * H)
  Buffer<float> mixed;  // (rows, H)
  Buffer<float> inner;  // (rows, H)
};

class VariantCell {
 public:
  VariantCell(const VariantOptions& options, const VariantWeights& weights, const VariantSizes& sizes);

  const VariantSizes& sizes() const { return sizes_; }
  int64_t gates_width() const { return input_.out_features(); }

  /// gates (rows, gates_width): all that depends on input (rows, I) alone.
  void project(const float* input, int64_t rows, float* gates) const;
  /// One step: hidden (rows, P) and cell (rows, H) are updated in place, gates are used up. Returns the outputs
  /// (rows, P or H): `hidden`, or memory of `scratch` for a cell without h.
  const float* step(float* gates, const float* input, int64_t rows, float* hidden, float* cell,
                    VariantScratch& scratch) const;

 private:
  /// W_hh h with bias or layer norm, (rows, G * H), in scratch.sums.
  void recurrent_sums(const float* hidden, int64_t rows, VariantScratch& scratch) const;

  const KernelTable* kernels_;
  VariantOptions options_;
  VariantSizes sizes_;
  CellActivation f_, g_, h_;
  Linear input_;       // W_ih, behind it W_mx
  Linear hidden_;      // W_hh; of a GRU that resets before, r and z only
  Linear candidate_;   // that GRU's W_hn
  Linear mixer_;       // W_mh
  Linear projection_;  // W_hr
  Buffer<float> peephole_, norm_ih_, norm_hh_, norm_c_, bias_ih_, bias_hh_, bias_c_;  // biases of the norms only
};

}  // namespace fastseq
