// Row-wise kernels and elementwise functions: check, release the GIL, compute.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "array.h"
#include "kernels/kernels.h"
#include "runtime/thread_pool.h"

namespace fastseq::bindings {

void register_attention(py::module_& m);

namespace {

using OptionalFloats = std::optional<FloatArray>;

// Elements below which a share of the rows is not worth a thread.
constexpr int64_t kMinimumElements = 1 << 16;

FloatArray like(const FloatArray& input) {
  return FloatArray(std::vector<py::ssize_t>(input.shape(), input.shape() + input.ndim()));
}

/// work(first_row, rows) over the rows of a (rows, size) array, without the GIL.
template <typename Work>
void for_rows(int64_t rows, int64_t size, const Work& work) {
  py::gil_scoped_release release;
  parallel_for(rows, kMinimumElements / std::max<int64_t>(size, 1) + 1,
               [&](int64_t begin, int64_t end) { work(begin, end - begin); });
}

/// Binds a function of each element.
void def_elementwise(py::module_& m, const char* name, void (*KernelTable::*kernel)(const float*, int64_t, float*)) {
  m.def(
      name,
      [kernel](const FloatArray& input) {
        require_shape(input, "input", {kAny});
        FloatArray output = like(input);
        const float* from = input.data();
        float* to = output.mutable_data();
        for_rows(input.size(), 1, [&](int64_t i, int64_t count) { (kernels().*kernel)(from + i, count, to + i); });
        return output;
      },
      py::arg("input"));
}

/// Binds a function of each row.
void def_rowwise(py::module_& m, const char* name,
                 void (*KernelTable::*kernel)(const float*, int64_t, int64_t, float*)) {
  m.def(
      name,
      [kernel](const FloatArray& input) {
        require_shape(input, "input", {kAny, kAny});
        FloatArray output = like(input);
        const float* from = input.data();
        float* to = output.mutable_data();
        const int64_t size = input.shape(1);
        for_rows(input.shape(0), size, [&](int64_t row, int64_t rows) {
          (kernels().*kernel)(from + row * size, rows, size, to + row * size);
        });
        return output;
      },
      py::arg("input"));
}

FloatArray layer_norm(const FloatArray& input, const OptionalFloats& weight, const OptionalFloats& bias, float eps) {
  require_shape(input, "input", {kAny, kAny});
  const int64_t size = input.shape(1);
  if (weight) require_shape(*weight, "weight", {size});
  if (bias) require_shape(*bias, "bias", {size});
  FloatArray output = like(input);
  const float *from = input.data(), *w = data_or_null(weight), *b = data_or_null(bias);
  float* to = output.mutable_data();
  for_rows(input.shape(0), size, [&](int64_t row, int64_t rows) {
    kernels().layer_norm(from + row * size, rows, size, w, b, eps, to + row * size);
  });
  return output;
}

FloatArray rms_norm(const FloatArray& input, const OptionalFloats& weight, float eps) {
  require_shape(input, "input", {kAny, kAny});
  const int64_t size = input.shape(1);
  if (weight) require_shape(*weight, "weight", {size});
  FloatArray output = like(input);
  const float *from = input.data(), *w = data_or_null(weight);
  float* to = output.mutable_data();
  for_rows(input.shape(0), size, [&](int64_t row, int64_t rows) {
    kernels().rms_norm(from + row * size, rows, size, w, eps, to + row * size);
  });
  return output;
}

py::tuple log_softmax_topk(const FloatArray& logits, int64_t k, const OptionalFloats& add) {
  require_shape(logits, "logits", {kAny, kAny});
  const int64_t rows = logits.shape(0), size = logits.shape(1);
  if (k < 0 || k > size) {
    throw std::invalid_argument("k is " + std::to_string(k) + "; expected 0 to " + std::to_string(size) +
                                ", the size of a row of logits");
  }
  if (add) require_shape(*add, "add", {rows});
  FloatArray values({rows, k});
  Int64Array indices({rows, k});
  const float *from = logits.data(), *a = data_or_null(add);
  float* best = values.mutable_data();
  int64_t* at = indices.mutable_data();
  for_rows(rows, size, [&](int64_t row, int64_t count) {
    kernels().log_softmax_topk(from + row * size, count, size, size, k, a != nullptr ? a + row : nullptr,
                               best + row * k, at + row * k, nullptr);
  });
  return py::make_tuple(values, indices);
}

py::tuple quantize_rows(const FloatArray& input) {
  require_shape(input, "input", {kAny, kAny});
  const int64_t rows = input.shape(0), size = input.shape(1);
  py::array_t<int8_t> values({rows, size});
  FloatArray scales(rows);
  const float* from = input.data();
  int8_t* to = values.mutable_data();
  float* scale = scales.mutable_data();
  for_rows(rows, size, [&](int64_t row, int64_t count) {
    QuantizeArgs args;
    args.input = from + row * size;
    args.rows = count;
    args.size = args.input_stride = args.output_stride = size;
    args.output = to + row * size;
    args.scales = scale + row;
    kernels().quantize_rows(args);
  });
  return py::make_tuple(values, scales);
}

FloatArray embedding(const Int64Array& ids, const FloatArray& weight) {
  require_shape(ids, "ids", {kAny});
  require_shape(weight, "weight", {kAny, kAny});
  const int64_t count = ids.size(), vocab_size = weight.shape(0), size = weight.shape(1);
  const int64_t* id = ids.data();
  for (int64_t i = 0; i < count; ++i) {
    if (id[i] < 0 || id[i] >= vocab_size) {
      throw std::invalid_argument("ids[" + std::to_string(i) + "] is " + std::to_string(id[i]) +
                                  "; expected an id in [0, " + std::to_string(vocab_size) + ")");
    }
  }
  FloatArray output({count, size});
  const float* from = weight.data();
  float* to = output.mutable_data();
  for_rows(count, size, [&](int64_t row, int64_t rows) {
    for (int64_t i = row; i < row + rows; ++i) {
      std::memcpy(to + i * size, from + id[i] * size, static_cast<std::size_t>(size) * sizeof(float));
    }
  });
  return output;
}

FloatArray gelu(const FloatArray& input, const std::string& approximate) {
  require_shape(input, "input", {kAny});
  if (approximate != "none" && approximate != "tanh") {
    throw std::invalid_argument("approximate is '" + approximate + "'; expected 'none' or 'tanh'");
  }
  const auto kernel = approximate == "none" ? kernels().gelu : kernels().gelu_tanh;
  FloatArray output = like(input);
  const float* from = input.data();
  float* to = output.mutable_data();
  for_rows(input.size(), 1, [&](int64_t i, int64_t count) { kernel(from + i, count, to + i); });
  return output;
}

}  // namespace

void register_kernels(py::module_& m) {
  using py::arg;
  def_elementwise(m, "relu", &KernelTable::relu);
  def_elementwise(m, "tanh", &KernelTable::tanh);
  def_elementwise(m, "sigmoid", &KernelTable::sigmoid);
  def_elementwise(m, "silu", &KernelTable::silu);
  def_elementwise(m, "exp", &KernelTable::exp);
  def_rowwise(m, "softmax", &KernelTable::softmax);
  def_rowwise(m, "log_softmax", &KernelTable::log_softmax);
  m.def("gelu", &gelu, arg("input"), arg("approximate") = "none");
  m.def("layer_norm", &layer_norm, arg("input"), arg("weight").none(true), arg("bias").none(true), arg("eps"));
  m.def("rms_norm", &rms_norm, arg("input"), arg("weight").none(true), arg("eps"));
  m.def("log_softmax_topk", &log_softmax_topk, arg("logits"), arg("k"), arg("add").none(true));
  m.def("quantize_rows", &quantize_rows, arg("input"));
  m.def("embedding", &embedding, arg("ids"), arg("weight"));
  register_attention(m);
}

}  // namespace fastseq::bindings
