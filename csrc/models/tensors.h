// Named weights, as a model folder has them, read one after the other while a model is built.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "layers/linear.h"

namespace fastseq {

struct Tensor {
  const float* data = nullptr;  // C order
  std::vector<int64_t> shape;
  std::shared_ptr<const void> owner;  // keeps `data`
};

class TensorMap {
 public:
  using Reader = std::function<Tensor(const std::string& name)>;

  TensorMap(std::set<std::string> names, Reader reader) : names_(std::move(names)), reader_(std::move(reader)) {}
  bool has(const std::string& name) const { return names_.count(name) > 0; }

  /// std::invalid_argument names the tensor where it is missing or has another shape.
  Tensor read(const std::string& name, const std::vector<int64_t>& shape) const;

  /// The same, kept until the map goes; for weights that are packed together.
  const float* get(const std::string& name, const std::vector<int64_t>& shape) const;

  /// A copy, for what is used unpacked.
  Buffer<float> copy(const std::string& name, const std::vector<int64_t>& shape) const;

  /// `name`.weight (out_features, in_features) and, if it is there, `name`.bias.
  Linear linear(const std::string& name, int64_t out_features, int64_t in_features) const {
    return linear(name + ".weight", name + ".bias", out_features, in_features);
  }
  Linear linear(const std::string& weight, const std::string& bias, int64_t out_features, int64_t in_features) const;

 private:
  std::set<std::string> names_;
  Reader reader_;
  mutable std::map<std::string, Tensor> kept_;
};

}  // namespace fastseq
