// Recurrent layers whose cells have options.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "array.h"
#include "layers/variant_recurrent.h"

namespace fastseq::bindings {
namespace {

using OptionalFloats = std::optional<FloatArray>;
using Arrays = std::map<std::string, FloatArray>;                        // of one direction of one layer
using Activations = std::vector<std::tuple<std::string, float, float>>;  // f, g, h: name, alpha, beta

template <typename Value>
Value find_name(const std::map<std::string, Value>& known, const char* what, const std::string& name) {
  const auto found = known.find(name);
  if (found == known.end()) throw std::invalid_argument(std::string(what) + " is '" + name + "', which is not known");
  return found->second;
}

VariantKind parse_kind(const std::string& name) {
  static const std::map<std::string, VariantKind> known{
      {"rnn", VariantKind::kRnn}, {"lstm", VariantKind::kLstm},
      {"gru", VariantKind::kGru}, {"multiplicative_lstm", VariantKind::kMultiplicativeLstm},
      {"sru", VariantKind::kSru}, {"ssru", VariantKind::kSsru}};
  return find_name(known, "cell", name);
}

CellActivation parse_activation(const std::tuple<std::string, float, float>& activation) {
  static const std::map<std::string, GateActivation> known{{"tanh", GateActivation::kTanh},
                                                           {"sigmoid", GateActivation::kSigmoid},
                                                           {"relu", GateActivation::kRelu},
                                                           {"affine", GateActivation::kAffine},
                                                           {"leaky_relu", GateActivation::kLeakyRelu},
                                                           {"thresholded_relu", GateActivation::kThresholdedRelu},
                                                           {"scaled_tanh", GateActivation::kScaledTanh},
                                                           {"hard_sigmoid", GateActivation::kHardSigmoid},
                                                           {"elu", GateActivation::kElu},
                                                           {"softsign", GateActivation::kSoftsign},
                                                           {"softplus", GateActivation::kSoftplus},
                                                           {"silu", GateActivation::kSilu},
                                                           {"gelu", GateActivation::kGelu},
                                                           {"exponential", GateActivation::kExp}};
  const auto& [name, alpha, beta] = activation;
  return {find_name(known, "activation", name), alpha, beta};
}

VariantOptions parse_options(const std::string& cell, const py::dict& given) {
  VariantOptions options;
  options.kind = parse_kind(cell);
  for (const auto& [key, value] : given) {
    const auto name = key.cast<std::string>();
    if (name == "coupled") {
      options.coupled = value.cast<bool>();
    } else if (name == "reset_after") {
      options.reset_after = value.cast<bool>();
    } else if (name == "clip") {
      options.clip = value.cast<float>();
    } else if (name == "cell_clip") {
      options.cell_clip = value.cast<float>();
    } else if (name == "norm_eps") {
      options.norm_eps = value.cast<float>();
    } else if (name == "skip_scale") {
      options.skip_scale = value.cast<float>();
    } else {
      throw std::invalid_argument("option '" + name + "' is not known");
    }
  }
  const bool lstm = options.kind == VariantKind::kLstm || options.kind == VariantKind::kMultiplicativeLstm;
  if (options.coupled && !lstm) throw std::invalid_argument("coupled gates are those of an LSTM");
  return options;
}

/// The weights of one direction of one layer, their shapes checked.
VariantWeights check_weights(const VariantOptions& options, const Arrays& arrays, int64_t input, int64_t hidden,
                             int64_t state, int64_t inner) {
  const VariantKind kind = options.kind;
  const int64_t gates = options.gates() * hidden;
  const bool lstm = kind == VariantKind::kLstm, sru = kind == VariantKind::kSru;
  const bool recurrent = options.has_hidden(), multiplicative = kind == VariantKind::kMultiplicativeLstm;
  const bool norms = recurrent && !multiplicative && (kind != VariantKind::kGru || options.reset_after);
  VariantWeights weights;
  struct Slot {
    const float** to;
    bool allowed, required;
    std::vector<int64_t> shape;
  };
  const std::map<std::string, Slot> slots{
      {"weight_ih", {&weights.weight_ih, true, true, {gates + (sru && input != inner ? hidden : 0), input}}},
      {"weight_hh", {&weights.weight_hh, recurrent, recurrent, {gates, state}}},
      {"bias_ih", {&weights.bias_ih, true, false, {gates}}},
      {"bias_hh", {&weights.bias_hh, recurrent, false, {gates}}},
      {"weight_hr", {&weights.weight_hr, lstm, state != hidden, {state, hidden}}},
      {"weight_peep",
       {&weights.weight_peep, lstm || multiplicative || sru, false, {(sru || options.coupled ? 2 : 3) * hidden}}},
      {"norm_ih", {&weights.norm_ih, norms, false, {gates}}},
      {"norm_hh", {&weights.norm_hh, norms, false, {gates}}},
      {"norm_c", {&weights.norm_c, lstm, false, {hidden}}},
      {"bias_c", {&weights.bias_c, lstm && arrays.count("norm_c") > 0, false, {hidden}}},
      {"weight_mx", {&weights.weight_mx, multiplicative, multiplicative, {hidden, input}}},
      {"weight_mh", {&weights.weight_mh, multiplicative, multiplicative, {hidden, hidden}}}};
  for (const auto& [name, array] : arrays) {
    const auto found = slots.find(name);
    if (found == slots.end() || !found->second.allowed) {
      throw std::invalid_argument("weights has '" + name + "', which the cell has not");
    }
    const auto& shape = found->second.shape;
    if (shape.size() == 1) {
      require_shape(array, name.c_str(), {shape[0]});
    } else {
      require_shape(array, name.c_str(), {shape[0], shape[1]});
    }
    *found->second.to = array.data();
  }
  for (const auto& [name, slot] : slots) {
    if (slot.required && *slot.to == nullptr) throw std::invalid_argument("weights lacks '" + name + "'");
  }
  return weights;
}

class PyVariantRecurrent {
 public:
  PyVariantRecurrent(const std::string& cell, const std::vector<Arrays>& weights,
                     const std::vector<Activations>& activations, const py::dict& options, int64_t hidden,
                     bool bidirectional, bool residual) {
    const VariantOptions parsed = parse_options(cell, options);
    const std::size_t directions = bidirectional ? 2 : 1;
    if (weights.empty() || weights.size() % directions != 0 || activations.size() != weights.size()) {
      throw std::invalid_argument("weights and activations have " + std::to_string(weights.size()) + " and " +
                                  std::to_string(activations.size()) + " entries; expected as many, " +
                                  (bidirectional ? "two" : "one") + " for each layer");
    }
    const Arrays& first = weights.front();
    const auto matrix = [&](const char* name) -> const FloatArray& {
      const auto found = first.find(name);
      if (found == first.end()) throw std::invalid_argument("weights lacks '" + std::string(name) + "'");
      require_shape(found->second, name, {kAny, kAny});
      return found->second;
    };
    const int64_t input = matrix("weight_ih").shape(1);
    const int64_t state = first.count("weight_hr") > 0 ? matrix("weight_hr").shape(0) : hidden;
    if (input < 1 || hidden < 1 || state < 1) throw std::invalid_argument("weights are empty");
    const int64_t inner = static_cast<int64_t>(directions) * state;
    std::vector<VariantWeights> checked;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      checked.push_back(check_weights(parsed, weights[i], i < directions ? input : inner, hidden, state, inner));
      if (activations[i].size() != 3) throw std::invalid_argument("activations must be three in each entry");
      checked.back().f = parse_activation(activations[i][0]);
      checked.back().g = parse_activation(activations[i][1]);
      checked.back().h = parse_activation(activations[i][2]);
    }
    py::gil_scoped_release release;
    recurrent_ = std::make_unique<VariantRecurrent>(parsed, checked, input, hidden, state, bidirectional, residual);
  }

  py::tuple forward(const FloatArray& input, const Int64Array& offsets, const OptionalFloats& h0,
                    const OptionalFloats& c0) const {
    require_shape(input, "input", {kAny, recurrent_->input_size()});
    States states(*recurrent_, require_offsets(offsets, "offsets", input.shape(0)), h0, c0);
    FloatArray output({input.shape(0), static_cast<py::ssize_t>(recurrent_->output_size())});
    const float *x = input.data(), *h = data_or_null(h0), *c = data_or_null(c0);
    float *y = output.mutable_data(), *hn = states.h_data(), *cn = states.c_data();
    const int64_t *o = offsets.data(), batch = offsets.size() - 1;
    {
      py::gil_scoped_release release;
      recurrent_->forward(x, o, batch, h, c, y, hn, cn);
    }
    return py::make_tuple(output, states.h, states.c);
  }

 private:
  /// New arrays for the last states, where the cell has such a state.
  struct States {
    OptionalFloats h, c;

    States(const VariantRecurrent& layer, int64_t batch, const OptionalFloats& h0, const OptionalFloats& c0) {
      const int64_t states = layer.num_layers() * layer.num_directions();
      const auto make = [&](OptionalFloats& to, bool has, int64_t size, const OptionalFloats& first, const char* name) {
        if (has) {
          if (first) require_shape(*first, name, {states, batch, size});
          to.emplace(std::array<py::ssize_t, 3>{states, batch, size});
        } else if (first) {
          throw std::invalid_argument(std::string(name) + " is given; the cell has no such state");
        }
      };
      make(h, layer.options().has_hidden(), layer.state_size(), h0, "h0");
      make(c, layer.options().has_cell(), layer.hidden_size(), c0, "c0");
    }
    float* h_data() { return h ? h->mutable_data() : nullptr; }
    float* c_data() { return c ? c->mutable_data() : nullptr; }
  };

  std::unique_ptr<VariantRecurrent> recurrent_;
};

}  // namespace

void register_variants(py::module_& m) {
  using py::arg;
  py::class_<PyVariantRecurrent>(m, "VariantRecurrent")
      .def(py::init<const std::string&, const std::vector<Arrays>&, const std::vector<Activations>&, const py::dict&,
                    int64_t, bool, bool>(),
           arg("cell"), arg("weights"), arg("activations"), arg("options"), arg("hidden_size"), arg("bidirectional"),
           arg("residual"))
      .def("forward", &PyVariantRecurrent::forward, arg("input"), arg("offsets"), arg("h0").none(true),
           arg("c0").none(true));
}

}  // namespace fastseq::bindings
