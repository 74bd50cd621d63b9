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

Tensor TensorMap::read(const std::string& name, const std::vector<int64_t>& shape) const {
  if (!has(name)) throw std::invalid_argument("tensor " + name + " is missing");
  Tensor tensor = reader_(name);
  if (tensor.shape != shape) {
    throw std::invalid_argument("tensor " + name + " has shape " + text(tensor.shape) + "; expected " + text(shape));
  }
  if (tensor.origin == nullptr) tensor.origin = std::make_shared<WeightOrigin>();
  tensor.origin->name = name;
  tensor.origin->record = record_;
  if (shape.size() == 1 && tensor.data != nullptr) record_->vectors[name].assign(tensor.data, tensor.data + shape[0]);
  return tensor;
}

const float* TensorMap::get(const std::string& name, const std::vector<int64_t>& shape) const {
  const float* data = weight(name, shape).values();
  if (data == nullptr) throw std::invalid_argument("tensor " + name + " is packed or int8; expected floats");
  return data;
}

WeightView TensorMap::weight(const std::string& name, const std::vector<int64_t>& shape) const {
  return (kept_[name] = read(name, shape)).view();
}

Buffer<float> TensorMap::copy(const std::string& name, const std::vector<int64_t>& shape) const {
  const Tensor tensor = read(name, shape);
  int64_t size = 1;
  for (const int64_t length : shape) size *= length;
  if (tensor.data == nullptr) throw std::invalid_argument("tensor " + name + " is packed or int8; expected floats");
  Buffer<float> result;
  if (tensor.lasting) {
    result = Buffer<float>::borrow(tensor.data, size, tensor.owner);
  } else {
    result = Buffer<float>(size);
    std::copy_n(tensor.data, size, result.data());
  }
  record_->tables[name] = {result.data(), size};
  return result;
}

Linear TensorMap::linear(const std::string& weight, const std::string& bias, int64_t out_features,
                         int64_t in_features) const {
  const Tensor offset = has(bias) ? read(bias, {out_features}) : Tensor();
  const Tensor matrix = read(weight, {out_features, in_features});  // last: what is read next lets go of its memory
  return Linear(matrix.view(), offset.data, out_features, in_features, compute_type_);
}

}  // namespace fastseq
