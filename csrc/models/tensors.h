// Named weights, as a model folder has them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "layers/linear.h"

namespace fastseq {

struct Tensor {
  const float* data = nullptr;  // C order; only read while the model is built
  std::vector<int64_t> shape;
};

class TensorMap {
 public:
  void add(std::string name, Tensor tensor) { tensors_[std::move(name)] = std::move(tensor); }
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }

  /// std::invalid_argument names the tensor where it is missing or has another shape.
  const float* get(const std::string& name, const std::vector<int64_t>& shape) const;

  /// A copy, for what is used unpacked.
  Buffer<float> copy(const std::string& name, const std::vector<int64_t>& shape) const;

  /// `name`.weight (out_features, in_features) and, if it is there, `name`.bias.
  Linear linear(const std::string& name, int64_t out_features, int64_t in_features) const;

 private:
  std::map<std::string, Tensor> tensors_;
};

}  // namespace fastseq
