// How weights are packed here, where those of a model lie, and whether stored ones are what they should be.
#include "kernels/kernels.h"
#include "runtime/integrity.h"
#include "tensor_arrays.h"

namespace fastseq::bindings {
namespace {

const char* name_of(ComputeType type) {
  return type == ComputeType::kFloat32 ? "float32" : type == ComputeType::kBfloat16 ? "bfloat16" : "int8";
}

template <typename T>
py::array_t<T> view(const T* data, int64_t size, const py::object& owner) {
  return py::array_t<T>(static_cast<py::ssize_t>(size), data, owner);
}

/// Outputs in a panel of dense layers of each type, and floats in a vector.
py::dict packing() {
  const KernelTable& table = kernels();
  py::dict result;
  result["isa"] = table.isa;
  result["lanes"] = table.lanes;
  result["float32"] = table.lanes * table.matmul_vectors;
  result["bfloat16"] = table.lanes * table.bf16_vectors;
  result["int8"] = table.lanes * table.int8_vectors;
  return result;
}

uint64_t checksum_of(const py::buffer& bytes) {
  const py::buffer_info info = bytes.request();
  if (info.ndim != 1 || info.itemsize != 1) throw std::invalid_argument("bytes must be one row of bytes");
  py::gil_scoped_release release;
  return checksum(static_cast<const unsigned char*>(info.ptr), info.size);
}

bool all_finite_of(const FloatArray& numbers) {
  const float* data = numbers.data();
  const int64_t size = numbers.size();
  py::gil_scoped_release release;
  return all_finite(data, size);
}

}  // namespace

py::dict weight_arrays(const WeightRecord& record, const py::object& owner) {
  py::dict tables, vectors, packed, result;
  for (const auto& [name, table] : record.tables) tables[py::str(name)] = view(table.data, table.size, owner);
  for (const auto& [name, values] : record.vectors) {
    vectors[py::str(name)] = view(values.data(), static_cast<int64_t>(values.size()), owner);
  }
  for (const auto& [name, parts] : record.packed) {
    py::list all;
    for (const PackedRows& part : parts) {
      py::dict fields;
      fields["compute_type"] = name_of(part.compute_type);
      fields["first_row"] = part.first_row;
      fields["rows"] = part.rows;
      fields["columns"] = part.columns;
      fields["gates"] = part.gates;
      fields["width"] = part.width;
      fields["data"] = view(static_cast<const uint8_t*>(part.data), part.bytes, owner);
      if (part.scales != nullptr) fields["scales"] = view(part.scales, part.outputs, owner);
      all.append(fields);
    }
    packed[py::str(name)] = all;
  }
  result["tables"] = tables;
  result["vectors"] = vectors;
  result["packed"] = packed;
  return result;
}

void register_packing(py::module_& m) {
  m.def("packing", &packing);
  m.def("checksum", &checksum_of, py::arg("bytes"));
  m.def("all_finite", &all_finite_of, py::arg("numbers"));
}

}  // namespace fastseq::bindings
