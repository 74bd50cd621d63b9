// Named weights, as a model folder has them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "layers/linear.h"

namespace fastseq {

/// In C order; only read while the model is built. A weight may be stored as int8 with a scale for each row.
struct Tensor {
  const float* data = nullptr;
  std::vector<int64_t> shape;
  const int8_t* bytes = nullptr;
  const float* scales = nullptr;  // (shape[0])
};

class TensorMap {
 public:
  explicit TensorMap(ComputeType compute_type = ComputeType::kFloat32) : compute_type_(compute_type) {}

  /// Of the weights of dense and recurrent layers.
  ComputeType compute_type() const { return compute_type_; }
  void add(std::string name, Tensor tensor) { tensors_[std::move(name)] = std::move(tensor); }
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }

  /// std::invalid_argument names the tensor where it is missing or has another shape.
  const float* get(const std::string& name, const std::vector<int64_t>& shape) const;

  /// The same for the weight of a dense or recurrent layer, in any form.
  WeightView weight(const std::string& name, const std::vector<int64_t>& shape) const;

  /// A copy, for what is used unpacked.
  Buffer<float> copy(const std::string& name, const std::vector<int64_t>& shape) const;

  /// `name`.weight (out_features, in_features) and, if it is there, `name`.bias.
  Linear linear(const std::string& name, int64_t out_features, int64_t in_features) const;

 private:
  const Tensor& find(const std::string& name, const std::vector<int64_t>& shape) const;

  ComputeType compute_type_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace fastseq
