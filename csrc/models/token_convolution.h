// A convolution over the tokens of each sequence, beside the first layer of an encoder.
#pragma once

#include <string>

#include "models/seq2seq.h"
#include "models/transformer_layers.h"

namespace fastseq {

/// norm(layer(x) + activation(convolution(x))) in place of layer(x) (He et al., 2021, v2's nGiE). Named tensors:
/// `name`.weight (hidden, K * hidden), what each of the K tokens around an output is multiplied with behind the other,
/// `name`.bias, and `name`_norm.
class TokenConvolution {
 public:
  TokenConvolution(const TensorMap& tensors, const std::string& name, const TransformerStackConfig& config);
  /// output (tokens, hidden) = activation(convolution(x)); beyond the ends of a sequence there are zeros.
  void forward(const Ragged& source, const float* x, float* output) const;

  Norm norm;

 private:
  int64_t width_;
  Activation activation_;
  Linear linear_;
};

}  // namespace fastseq
