#include "models/normed_linear.h"

namespace fastseq {

NormedLinear::NormedLinear(const TensorMap& tensors, const NormedNames& names, int64_t out_features,
                           int64_t in_features, float norm_eps, int64_t split)
    : kernels_(&kernels()),
      linear_(tensors.linear(names.weight, names.norm.empty() && names.offset.empty() ? names.bias : names.offset,
                             out_features, in_features)),
      norm_eps_(norm_eps),
      split_(split) {
  if (names.norm.empty()) return;
  norm_ = tensors.copy(names.norm, {out_features});
  if (!names.bias.empty()) bias_ = tensors.copy(names.bias, {out_features});
}

void NormedLinear::forward(const float* input, int64_t rows, float* output, int64_t output_stride) const {
  linear_.forward(input, linear_.in_features(), rows, output, output_stride);
  if (norm_.size() == 0) return;
  const int64_t ends[] = {split_, out_features()};
  for (int64_t r = 0; r < rows; ++r) {
    int64_t begin = 0;
    for (const int64_t end : ends) {
      float* part = output + r * output_stride + begin;
      if (end > begin) {
        const float* bias = bias_.size() > 0 ? bias_.data() + begin : nullptr;
        kernels_->layer_norm(part, 1, end - begin, norm_.data() + begin, bias, norm_eps_, part);
      }
      begin = end;
    }
  }
}

}  // namespace fastseq
