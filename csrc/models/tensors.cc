#include "models/tensors.h"

#include <algorithm>
#include <stdexcept>

namespace fastseq {
namespace {

std::string text(const std::vector<int64_t>& shape) {
  std::string result = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) result += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return result + ")";
}

}  // namespace

const Tensor& TensorMap::find(const std::string& name, const std::vector<int64_t>& shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::invalid_argument("tensor " + name + " is missing");
  if (found->second.shape != shape) {
    throw std::invalid_argument("tensor " + name + " has shape " + text(found->second.shape) + "; expected " +
                                text(shape));
  }
  return found->second;
}

const float* TensorMap::get(const std::string& name, const std::vector<int64_t>& shape) const {
  const Tensor& tensor = find(name, shape);
  if (tensor.data == nullptr) throw std::invalid_argument("tensor " + name + " is int8; expected floats");
  return tensor.data;
}

WeightView TensorMap::weight(const std::string& name, const std::vector<int64_t>& shape) const {
  const Tensor& tensor = find(name, shape);
  return tensor.bytes != nullptr ? WeightView(tensor.bytes, tensor.scales) : WeightView(tensor.data);
}

Buffer<float> TensorMap::copy(const std::string& name, const std::vector<int64_t>& shape) const {
  const float* data = get(name, shape);
  int64_t size = 1;
  for (const int64_t length : shape) size *= length;
  Buffer<float> result(size);
  std::copy_n(data, size, result.data());
  return result;
}

Linear TensorMap::linear(const std::string& name, int64_t out_features, int64_t in_features) const {
  const WeightView view = weight(name + ".weight", {out_features, in_features});
  const float* bias = has(name + ".bias") ? get(name + ".bias", {out_features}) : nullptr;
  return Linear(view, bias, out_features, in_features, compute_type_);
}

}  // namespace fastseq
