// Tensors as Python gives them, and where a model's weights lie as Python sees it.
#pragma once

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "array.h"
#include "compute_type.h"
#include "models/tensors.h"

namespace fastseq::bindings {

using ByteArray = py::array_t<uint8_t, py::array::c_style>;

/// The arrays of a tensor. An array of floats is read while a model is built, a pair is an int8 weight and the scale
/// of each row; {"table": floats} and {"shape": (O, I), "packed": [rows, ...]} are used where they are, as long as the
/// model lives.
struct TensorArrays {
  explicit TensorArrays(const py::object& value) {
    if (py::isinstance<py::dict>(value)) {
      const auto fields = py::reinterpret_borrow<py::dict>(value);
      lasting = true;
      if (fields.contains("table")) {
        floats = fields["table"].cast<FloatArray>();
      } else {
        std::tie(rows, columns) = fields["shape"].cast<std::pair<int64_t, int64_t>>();
        for (const py::handle part : fields["packed"]) packed.push_back(packed_rows(part.cast<py::dict>()));
      }
    } else if (py::isinstance<py::tuple>(value)) {
      std::tie(bytes, floats) = value.cast<std::tuple<Int8Array, FloatArray>>();
      require_shape(bytes, "an int8 tensor", {kAny, kAny});
      require_shape(floats, "scales", {bytes.shape(0)});
      quantized = true;
    } else {
      floats = value.cast<FloatArray>();
    }
  }

  /// Its form in the core; `owner` keeps this.
  Tensor tensor(std::shared_ptr<const void> owner) const {
    Tensor result;
    result.owner = std::move(owner);
    result.lasting = lasting;
    if (!packed.empty()) {
      result.shape = {rows, columns};
      result.origin = std::make_shared<WeightOrigin>();
      result.origin->packed = packed;
      result.origin->owner = result.owner;
      return result;
    }
    if (quantized) {
      result.bytes = bytes.data();
      result.scales = floats.data();
    } else {
      result.data = floats.data();
    }
    const py::array& values = quantized ? static_cast<const py::array&>(bytes) : floats;
    for (py::ssize_t i = 0; i < values.ndim(); ++i) result.shape.push_back(values.shape(i));
    return result;
  }

  FloatArray floats;
  Int8Array bytes;
  bool quantized = false, lasting = false;
  std::vector<PackedRows> packed;
  int64_t rows = 0, columns = 0;

 private:
  PackedRows packed_rows(const py::dict& fields) {
    PackedRows part;
    part.compute_type = parse_compute_type(read_entry<std::string>(fields, "packed", "compute_type"));
    part.first_row = read_entry<int64_t>(fields, "packed", "first_row");
    part.rows = read_entry<int64_t>(fields, "packed", "rows");
    part.columns = columns;
    part.gates = read_entry<int64_t>(fields, "packed", "gates");
    part.width = read_entry<int64_t>(fields, "packed", "width");
    const auto data = read_entry<ByteArray>(fields, "packed", "data");
    part.data = data.data();
    part.bytes = data.nbytes();
    if (reinterpret_cast<uintptr_t>(part.data) % kAlignment != 0) {
      throw std::invalid_argument("packed: data does not begin on a cache line");
    }
    kept_.push_back(data);
    if (part.compute_type == ComputeType::kInt8) {
      const auto scales = read_entry<FloatArray>(fields, "packed", "scales");
      const auto sums = read_entry<Int32Array>(fields, "packed", "sums");
      part.outputs = scales.size();
      require_shape(sums, "sums", {part.outputs});
      part.scales = scales.data();
      part.sums = sums.data();
      kept_.push_back(scales);
      kept_.push_back(sums);
    } else {
      const int64_t numbers = part.compute_type == ComputeType::kFloat32 ? columns : (columns + 1) / 2;
      part.outputs = numbers > 0 ? part.bytes / 4 / numbers : 0;
    }
    return part;
  }

  std::vector<py::array> kept_;
};

/// Tensors of a mapping from names to arrays; each is taken from it when the model asks, and let go when it is packed
/// unless it is used where it is.
inline TensorMap tensor_map(const py::object& tensors, ComputeType compute_type) {
  std::set<std::string> names;
  for (const py::handle name : tensors) names.insert(name.cast<std::string>());
  const auto read = [tensors](const std::string& name) {
    py::gil_scoped_acquire gil;
    const auto let_go = [](TensorArrays* arrays) {
      py::gil_scoped_acquire gil;
      delete arrays;
    };
    const py::object value = tensors[py::str(name)];
    const std::shared_ptr<TensorArrays> arrays(new TensorArrays(value), let_go);
    return arrays->tensor(arrays);
  };
  return TensorMap(std::move(names), read, compute_type);
}

/// Where the weights lie, as {"tables", "vectors", "packed"}: views that keep `owner`, which has them.
py::dict weight_arrays(const WeightRecord& record, const py::object& owner);

/// weights() of a model.
template <typename Model>
py::dict weights_of(const py::object& model) {
  return weight_arrays(model.cast<const Model&>().weights(), model);
}

}  // namespace fastseq::bindings
