// Dense and recurrent layers, and the functions that are one use of such a layer.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "array.h"
#include "compute_type.h"
#include "layers/linear.h"
#include "layers/recurrent.h"
#include "models/recurrent_seq2seq.h"
#include "recurrent_weights.h"
#include "tensor_arrays.h"

namespace fastseq::bindings {
namespace {

using OptionalFloats = std::optional<FloatArray>;

class PyLinear : public RecordedModel {
 public:
  PyLinear(const FloatArray& weight, const OptionalFloats& bias, const std::string& compute_type) {
    require_shape(weight, "weight", {kAny, kAny});
    if (bias) require_shape(*bias, "bias", {weight.shape(0)});
    const ComputeType type = parse_compute_type(compute_type);
    const float *w = weight.data(), *b = data_or_null(bias);
    const int64_t out_features = weight.shape(0), in_features = weight.shape(1);
    py::gil_scoped_release release;
    linear_ = Linear(w, b, out_features, in_features, type);
  }

  /// From named tensors, packed already or not.
  PyLinear(const py::object& tensors, const std::string& weight, const std::string& bias, int64_t out_features,
           int64_t in_features, const std::string& compute_type) {
    const TensorMap map = tensor_map(tensors, parse_compute_type(compute_type));
    py::gil_scoped_release release;
    linear_ = map.linear(weight, bias, out_features, in_features);
    keep(map.record());
  }

  FloatArray forward(const FloatArray& input) const {
    require_shape(input, "input", {kAny, linear_.in_features()});
    FloatArray output({input.shape(0), static_cast<py::ssize_t>(linear_.out_features())});
    const float* from = input.data();
    float* to = output.mutable_data();
    const int64_t rows = input.shape(0);
    py::gil_scoped_release release;
    linear_.forward(from, rows, to);
    return output;
  }

 private:
  Linear linear_;
};

class PyRecurrent : public RecordedModel {
 public:
  PyRecurrent(const std::string& cell, const std::vector<RecurrentArrays>& weights, bool bidirectional,
              bool residual = false, const std::string& compute_type = "float32") {
    const ComputeType type = parse_compute_type(compute_type);
    const auto checked = check_recurrent(cell, weights, bidirectional);
    py::gil_scoped_release release;
    recurrent_ = std::make_unique<Recurrent>(checked.cell, checked.weights, checked.input_size, checked.hidden_size,
                                             bidirectional, residual, type);
  }

  /// From named tensors, packed already or not.
  PyRecurrent(const py::object& tensors, const std::string& prefix, const std::string& cell, int64_t input_size,
              int64_t hidden_size, int64_t num_layers, bool bidirectional, const std::string& compute_type) {
    const TensorMap map = tensor_map(tensors, parse_compute_type(compute_type));
    const Cell kind = parse_cell(cell);
    py::gil_scoped_release release;
    recurrent_ = std::make_unique<Recurrent>(
        load_recurrent(map, prefix, kind, input_size, hidden_size, num_layers, bidirectional));
    keep(map.record());
  }

  py::tuple forward(const FloatArray& input, const Int64Array& offsets, const OptionalFloats& h0,
                    const OptionalFloats& c0) const {
    const Recurrent& layer = *recurrent_;
    require_shape(input, "input", {kAny, layer.input_size()});
    const int64_t batch = require_offsets(offsets, "offsets", input.shape(0));
    const int64_t states = layer.num_layers() * layer.num_directions();
    if (h0) require_shape(*h0, "h0", {states, batch, layer.hidden_size()});
    if (c0) require_shape(*c0, "c0", {states, batch, layer.hidden_size()});
    const bool has_cell = layer.cell() == Cell::kLstm;
    const std::array<py::ssize_t, 3> state_shape{states, batch, layer.hidden_size()};
    FloatArray output({input.shape(0), static_cast<py::ssize_t>(layer.output_size())});
    FloatArray h_n(state_shape);
    OptionalFloats c_n;
    if (has_cell) c_n.emplace(state_shape);
    {
      const float *x = input.data(), *h = data_or_null(h0), *c = data_or_null(c0);
      float *y = output.mutable_data(), *hn = h_n.mutable_data(), *cn = c_n ? c_n->mutable_data() : nullptr;
      const int64_t* o = offsets.data();
      py::gil_scoped_release release;
      layer.forward(x, o, batch, h, c, y, hn, cn);
    }
    return py::make_tuple(output, h_n, c_n);
  }

  /// One time step of B rows.
  py::tuple step(const FloatArray& input, const OptionalFloats& h0, const OptionalFloats& c0) const {
    const Recurrent& layer = *recurrent_;
    if (layer.num_directions() > 1) throw std::invalid_argument("a bidirectional layer takes no single steps");
    require_shape(input, "input", {kAny, layer.input_size()});
    const int64_t rows = input.shape(0);
    if (h0) require_shape(*h0, "h0", {layer.num_layers(), rows, layer.hidden_size()});
    if (c0) require_shape(*c0, "c0", {layer.num_layers(), rows, layer.hidden_size()});
    FloatArray output({input.shape(0), static_cast<py::ssize_t>(layer.output_size())});
    const auto [h_n, c_n] = take_step(input.data(), rows, data_or_null(h0), data_or_null(c0), output.mutable_data());
    return py::make_tuple(output, h_n, c_n);
  }

  /// What the layer returns for one time step, on the shortest way: for arrays just as the kernels take them. None for
  /// all else, which goes the longer way with its checks and messages.
  py::object one_step(const py::handle input, const py::handle hx, bool batch_first) const {
    const Recurrent& layer = *recurrent_;
    if (layer.num_directions() > 1 || !is_plain(input)) return py::none();
    const auto x = py::reinterpret_borrow<FloatArray>(input);
    if (x.ndim() != 3 || x.shape(batch_first ? 1 : 0) != 1 || x.shape(2) != layer.input_size()) return py::none();
    const int64_t rows = x.shape(batch_first ? 0 : 1);
    const bool has_cell = layer.cell() == Cell::kLstm;
    const float* first[2] = {};
    if (!hx.is_none()) {
      if (has_cell && (!PyTuple_CheckExact(hx.ptr()) || PyTuple_GET_SIZE(hx.ptr()) != 2)) return py::none();
      for (int i = 0; i < (has_cell ? 2 : 1); ++i) {
        const py::handle state = has_cell ? py::handle(PyTuple_GET_ITEM(hx.ptr(), i)) : hx;
        if (!is_plain(state)) return py::none();
        const auto array = py::reinterpret_borrow<FloatArray>(state);
        if (array.ndim() != 3 || array.shape(0) != layer.num_layers() || array.shape(1) != rows ||
            array.shape(2) != layer.hidden_size()) {
          return py::none();
        }
        first[i] = array.data();
      }
    }
    FloatArray output(std::array<py::ssize_t, 3>{x.shape(0), x.shape(1), layer.output_size()});
    const auto [h_n, c_n] = take_step(x.data(), rows, first[0], first[1], output.mutable_data());
    if (has_cell) return py::make_tuple(output, py::make_tuple(h_n, c_n));
    return py::make_tuple(output, h_n);
  }

 private:
  /// Whether it is an array (and no subclass) of aligned floats in C order.
  static bool is_plain(const py::handle object) {
    return reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) ==
               reinterpret_cast<PyObject*>(py::detail::npy_api::get().PyArray_Type_) &&
           FloatArray::check_(object) &&
           (py::detail::array_proxy(object.ptr())->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  }

  /// Last states from the first ones (null for zeros), and the output (rows, output_size).
  std::pair<FloatArray, OptionalFloats> take_step(const float* input, int64_t rows, const float* h0, const float* c0,
                                                  float* output) const {
    const Recurrent& layer = *recurrent_;
    const std::array<py::ssize_t, 3> shape{layer.num_layers(), rows, layer.hidden_size()};
    const auto start = [&](const float* from) {
      FloatArray state(shape);
      if (from != nullptr) {
        std::copy_n(from, state.size(), state.mutable_data());
      } else {
        std::fill_n(state.mutable_data(), state.size(), 0.0f);
      }
      return state;
    };
    FloatArray h_n = start(h0);
    OptionalFloats c_n;
    if (layer.cell() == Cell::kLstm) c_n = start(c0);
    float *h = h_n.mutable_data(), *c = c_n ? c_n->mutable_data() : nullptr;
    {
      py::gil_scoped_release release;
      layer.step(input, rows, h, c, output);
    }
    return {std::move(h_n), std::move(c_n)};
  }

  std::unique_ptr<Recurrent> recurrent_;
};

/// One step of one layer for B rows, each a sequence of one token.
py::tuple run_cell(const std::string& cell, const FloatArray& input, const FloatArray& hx, const OptionalFloats& cx,
                   const RecurrentArrays& weights) {
  const PyRecurrent layer(cell, {weights}, false);
  require_shape(hx, "hx", {kAny, kAny});
  Int64Array offsets(input.shape(0) + 1);
  std::iota(offsets.mutable_data(), offsets.mutable_data() + offsets.size(), int64_t{0});
  const auto as_state = [](FloatArray a) {
    return FloatArray(a.reshape(std::array<py::ssize_t, 3>{1, a.shape(0), a.shape(1)}));
  };
  OptionalFloats c0;
  if (cx) {
    require_shape(*cx, "cx", {hx.shape(0), hx.shape(1)});
    c0 = as_state(*cx);
  }
  const py::tuple result = layer.forward(input, offsets, as_state(hx), c0);
  auto c_n = result[2].cast<OptionalFloats>();
  py::object next_cell = py::none();
  if (c_n) next_cell = c_n->reshape(std::array<py::ssize_t, 2>{hx.shape(0), hx.shape(1)});
  return py::make_tuple(result[0], next_cell);
}

}  // namespace

void register_layers(py::module_& m) {
  using py::arg;
  py::class_<PyLinear>(m, "Linear")
      .def(py::init<const FloatArray&, const OptionalFloats&, const std::string&>(), arg("weight"),
           arg("bias").none(true), arg("compute_type") = "float32")
      .def_static(
          "of",
          [](const py::object& tensors, const std::string& weight, const std::string& bias, int64_t out_features,
             int64_t in_features, const std::string& compute_type) {
            return std::make_unique<PyLinear>(tensors, weight, bias, out_features, in_features, compute_type);
          },
          arg("tensors"), arg("weight"), arg("bias"), arg("out_features"), arg("in_features"), arg("compute_type"))
      .def("weights", &weights_of<PyLinear>)
      .def("forward", &PyLinear::forward, arg("input"));
  py::class_<PyRecurrent>(m, "Recurrent")
      .def(py::init<const std::string&, const std::vector<RecurrentArrays>&, bool, bool, const std::string&>(),
           arg("cell"), arg("weights"), arg("bidirectional"), arg("residual") = false, arg("compute_type") = "float32")
      .def_static(
          "of",
          [](const py::object& tensors, const std::string& prefix, const std::string& cell, int64_t input_size,
             int64_t hidden_size, int64_t num_layers, bool bidirectional, const std::string& compute_type) {
            return std::make_unique<PyRecurrent>(tensors, prefix, cell, input_size, hidden_size, num_layers,
                                                 bidirectional, compute_type);
          },
          arg("tensors"), arg("prefix"), arg("cell"), arg("input_size"), arg("hidden_size"), arg("num_layers"),
          arg("bidirectional"), arg("compute_type"))
      .def("weights", &weights_of<PyRecurrent>)
      .def("forward", &PyRecurrent::forward, arg("input"), arg("offsets"), arg("h0").none(true), arg("c0").none(true))
      .def("step", &PyRecurrent::step, arg("input"), arg("h0").none(true), arg("c0").none(true))
      .def("one_step", &PyRecurrent::one_step, arg("input"), arg("hx").none(true), arg("batch_first"));
  m.def(
      "linear",
      [](const FloatArray& input, const FloatArray& weight, const OptionalFloats& bias,
         const std::string& compute_type) { return PyLinear(weight, bias, compute_type).forward(input); },
      arg("input"), arg("weight"), arg("bias").none(true), arg("compute_type") = "float32");
  m.def(
      "rnn_cell",
      [](const FloatArray& input, const FloatArray& hx, const FloatArray& weight_ih, const FloatArray& weight_hh,
         const OptionalFloats& bias_ih, const OptionalFloats& bias_hh, const std::string& nonlinearity) -> py::object {
        return run_cell("rnn_" + nonlinearity, input, hx, std::nullopt, {weight_ih, weight_hh, bias_ih, bias_hh})[0];
      },
      arg("input"), arg("hx"), arg("weight_ih"), arg("weight_hh"), arg("bias_ih").none(true), arg("bias_hh").none(true),
      arg("nonlinearity") = "tanh");
  m.def(
      "lstm_cell",
      [](const FloatArray& input, const FloatArray& hx, const FloatArray& cx, const FloatArray& weight_ih,
         const FloatArray& weight_hh, const OptionalFloats& bias_ih, const OptionalFloats& bias_hh) {
        return run_cell("lstm", input, hx, cx, {weight_ih, weight_hh, bias_ih, bias_hh});
      },
      arg("input"), arg("hx"), arg("cx"), arg("weight_ih"), arg("weight_hh"), arg("bias_ih").none(true),
      arg("bias_hh").none(true));
  m.def(
      "gru_cell",
      [](const FloatArray& input, const FloatArray& hx, const FloatArray& weight_ih, const FloatArray& weight_hh,
         const OptionalFloats& bias_ih, const OptionalFloats& bias_hh) -> py::object {
        return run_cell("gru", input, hx, std::nullopt, {weight_ih, weight_hh, bias_ih, bias_hh})[0];
      },
      arg("input"), arg("hx"), arg("weight_ih"), arg("weight_hh"), arg("bias_ih").none(true),
      arg("bias_hh").none(true));
}

}  // namespace fastseq::bindings
