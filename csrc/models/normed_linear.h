// A dense layer, and if there is one the layer norm behind it.
#pragma once

#include <cstdint>
#include <string>

#include "models/tensors.h"

namespace fastseq {

// Marian's, `src/graph/expression_operators.h`.
constexpr float kMarianNormEps = 1e-9f;

/// Full names of the tensors of a NormedLinear; those without a name are not there.
struct NormedNames {
  std::string weight;  // (out_features, in_features)
  std::string offset;  // (out_features), added before the norm
  std::string norm;    // (out_features), what the normalised numbers are multiplied by
  std::string bias;    // (out_features), added behind all
};

/// y = norm(W x + offset) + bias, or y = W x + offset + bias without a norm, of which one may be there then.
class NormedLinear {
 public:
  NormedLinear() = default;
  /// `split`: the first numbers are normalised by themselves and the others by themselves; 0: all together.
  NormedLinear(const TensorMap& tensors, const NormedNames& names, int64_t out_features, int64_t in_features,
               float norm_eps, int64_t split = 0);

  int64_t out_features() const { return linear_.out_features(); }

  /// output (rows, out_features), row r at output + r * output_stride, from input (rows, in_features).
  void forward(const float* input, int64_t rows, float* output, int64_t output_stride) const;
  void forward(const float* input, int64_t rows, float* output) const { forward(input, rows, output, out_features()); }

 private:
  const KernelTable* kernels_ = nullptr;
  Linear linear_;
  Buffer<float> norm_, bias_;  // (out_features); empty for none
  float norm_eps_ = 0.0f;
  int64_t split_ = 0;
};

}  // namespace fastseq
