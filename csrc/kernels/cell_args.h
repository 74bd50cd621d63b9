// Arguments of cell_update: the recurrent cells with all their options, one elementwise pass over the gates.
#pragma once

#include <cstdint>
#include <limits>

namespace fastseq {

/// f(x) with its two parameters, as the comments say.
enum class GateActivation : int32_t {
  kTanh,
  kSigmoid,
  kRelu,             // min(max(x, 0), alpha)
  kAffine,           // alpha x + beta
  kLeakyRelu,        // x, or alpha x below 0
  kThresholdedRelu,  // x above alpha, else 0
  kScaledTanh,       // alpha tanh(beta x)
  kHardSigmoid,      // min(max(alpha x + beta, 0), 1)
  kElu,              // beta x, or beta alpha (e^x - 1) below 0
  kSoftsign,         // x / (1 + |x|)
  kSoftplus,         // log(1 + e^x)
  kSilu,
  kGelu,
  kExp,
};

struct CellActivation {
  GateActivation function = GateActivation::kTanh;
  float alpha = 0.0f;
  float beta = 0.0f;
};

/// What cell_update computes. x and s are `input_gates` and `hidden_gates`, f, g, h the three activations; gates lie
/// one after the other, `size` floats each.
enum class CellUpdate : int32_t {
  kRnn,         // h' = f(x + s)
  kLstm,        // gates i f g o: c' = f(f) c + f(i) g(g), h' = f(o) h(c'); with `coupled` i g o and 1 - f(i) for f
  kLstmCell,    // the same without the last step: output = f(o)
  kLstmOutput,  // output = output * h(c)
  kGru,         // gates r z n: h' = (1 - z) n + z h with r = f(r), z = f(z), n = g(x_n + r s_n)
  kGruReset,    // output = f(r) h, and x_z becomes f(z)
  kGruOutput,   // h' = (1 - z) n + z h with z = x_z as kGruReset left it, n = g(x_n + s), s of one gate
  kSru,         // gates w f r: c' = f c + (1 - f) w, output = r h(c') + (1 - r) skip_scale skip
  kSsru,        // gates w f: c' = f c + (1 - f) w, output = h(c')
  kProduct,     // output = x * s
};

struct CellArgs {
  CellUpdate update = CellUpdate::kRnn;
  int64_t rows = 0;
  int64_t size = 0;              // units
  float* input_gates = nullptr;  // (rows, gates * size); kGruReset writes to it
  int64_t input_stride = 0;
  const float* hidden_gates = nullptr;  // (rows, gates * size); not for kLstmOutput, SRU and SSRU
  int64_t hidden_stride = 0;
  const float* hidden = nullptr;    // GRU: h (rows, size)
  float* cell = nullptr;            // LSTM, SRU, SSRU: c (rows, size), updated in place; kLstmOutput only reads it
  const float* peephole = nullptr;  // LSTM: (i, f, o: 3 * size; coupled i, o), times c, for o times c'; or null
                                    // SRU: (f, r: 2 * size), times c
  const float* skip = nullptr;      // SRU: (rows, skip_stride)
  int64_t skip_stride = 0;
  float skip_scale = 1.0f;
  float* output = nullptr;  // (rows, size); may be `hidden`
  CellActivation f, g, h;
  bool coupled = false;
  float clip = std::numeric_limits<float>::infinity();       // bounds what goes into f and g
  float cell_clip = std::numeric_limits<float>::infinity();  // bounds c'
};

}  // namespace fastseq
