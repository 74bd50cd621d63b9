#include "models/token_convolution.h"

#include <algorithm>

namespace fastseq {

TokenConvolution::TokenConvolution(const TensorMap& tensors, const std::string& name,
                                   const TransformerStackConfig& config)
    : norm(tensors, name + "_norm", config.hidden_size, config),
      width_(config.convolution),
      activation_(config.convolution_activation),
      linear_(tensors.linear(name, config.hidden_size, config.convolution * config.hidden_size)) {}

void TokenConvolution::forward(const Ragged& source, const float* x, float* output) const {
  const int64_t size = linear_.out_features(), tokens = source.tokens();
  auto around = Buffer<float>::zeros(tokens * width_ * size);  // (tokens, width, hidden)
  for (int64_t b = 0; b < source.batch_size; ++b) {
    const int64_t begin = source.offsets[b], end = source.offsets[b + 1];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i - width_ / 2, from = std::max(begin, first), to = std::min(end, first + width_);
      std::copy_n(x + from * size, (to - from) * size, around.data() + (i * width_ + from - first) * size);
    }
  }
  linear_.forward(around.data(), tokens, output, activation_);
}

}  // namespace fastseq
