// Dense layer with a packed weight.
#pragma once

#include <cstdint>

#include "layers/packed.h"

namespace fastseq {

class Linear {
 public:
  Linear() = default;
  /// weight (out_features, in_features), bias (out_features) or null.
  Linear(const WeightView& weight, const float* bias, int64_t out_features, int64_t in_features,
         ComputeType compute_type = ComputeType::kFloat32);

  int64_t in_features() const { return weight_.in_features(); }
  int64_t out_features() const { return out_features_; }

  /// Row `row` of the weight as it is computed with: output (in_features).
  void weight_row(int64_t row, float* output) const { weight_.unpack_row(row, output); }

  /// output (rows, out_features) = activation(bias + input (rows, in_features) @ weight^T). An int8 weight takes the
  /// rows quantised, each with its own scale.
  void forward(const float* input, int64_t rows, float* output, Activation activation = Activation::kNone) const {
    forward(input, in_features(), rows, output, out_features_, activation);
  }
  /// The same with row strides, in floats.
  void forward(const float* input, int64_t input_stride, int64_t rows, float* output, int64_t output_stride,
               Activation activation = Activation::kNone) const;

 private:
  const KernelTable* kernels_ = nullptr;  // the set the weight was packed for
  PackedMatrix weight_;
  Buffer<float> bias_;  // (panel_count * width), empty for none
  int64_t out_features_ = 0;
};

}  // namespace fastseq
