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

/// In C order. The weight of a dense or recurrent layer may be stored as int8 with a scale for each row.
struct Tensor {
  const float* data = nullptr;
  std::vector<int64_t> shape;
  std::shared_ptr<const void> owner;  // keeps what the pointers point to
  const int8_t* bytes = nullptr;
  const float* scales = nullptr;         // (shape[0])
  std::shared_ptr<WeightOrigin> origin;  // with what is packed already
  bool lasting = false;                  // `data` may be used as it is for as long as `owner` is kept

  WeightView view() const { return (bytes != nullptr ? WeightView(bytes, scales) : WeightView(data)).of(origin.get()); }
};

/// A model that knows where its weights lie.
class RecordedModel {
 public:
  const WeightRecord& weights() const { return *record_; }
  void keep(std::shared_ptr<const WeightRecord> record) { record_ = std::move(record); }

 private:
  std::shared_ptr<const WeightRecord> record_ = std::make_shared<const WeightRecord>();
};

class TensorMap {
 public:
  using Reader = std::function<Tensor(const std::string& name)>;

  TensorMap(std::set<std::string> names, Reader reader, ComputeType compute_type = ComputeType::kFloat32)
      : names_(std::move(names)), reader_(std::move(reader)), compute_type_(compute_type) {}

  /// Where the weights of what was built of these tensors lie.
  std::shared_ptr<const WeightRecord> record() const { return record_; }

  /// Of the weights of dense and recurrent layers.
  ComputeType compute_type() const { return compute_type_; }
  bool has(const std::string& name) const { return names_.count(name) > 0; }

  /// std::invalid_argument names the tensor where it is missing or has another shape.
  Tensor read(const std::string& name, const std::vector<int64_t>& shape) const;

  /// The same, kept until the map goes; for weights that are packed together.
  const float* get(const std::string& name, const std::vector<int64_t>& shape) const;

  WeightView weight(const std::string& name, const std::vector<int64_t>& shape) const;

  /// What is used unpacked: a copy, unless the tensor lasts.
  Buffer<float> copy(const std::string& name, const std::vector<int64_t>& shape) const;

  /// `name`.weight (out_features, in_features) and, if it is there, `name`.bias.
  Linear linear(const std::string& name, int64_t out_features, int64_t in_features) const {
    return linear(name + ".weight", name + ".bias", out_features, in_features);
  }
  Linear linear(const std::string& weight, const std::string& bias, int64_t out_features, int64_t in_features) const;

 private:
  std::set<std::string> names_;
  Reader reader_;
  ComputeType compute_type_;
  mutable std::map<std::string, Tensor> kept_;
  std::shared_ptr<WeightRecord> record_ = std::make_shared<WeightRecord>();
};

}  // namespace fastseq
