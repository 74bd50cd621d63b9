// What the bindings of models share: configurations, tensors, token ids, and running without the GIL.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>

#include "array.h"
#include "compute_type.h"
#include "models/seq2seq.h"
#include "runtime/cancel.h"
#include "search_options.h"
#include "tensor_arrays.h"

namespace fastseq::bindings {

template <typename T>
T read(const py::dict& config, const char* key) {
  return read_entry<T>(config, "config", key);
}

inline int64_t positive(const py::dict& config, const char* key) {
  const auto value = read<int64_t>(config, key);
  if (value < 1) throw std::invalid_argument(std::string("config: ") + key + " must be at least 1");
  return value;
}

template <typename Enum>
Enum choice(const py::dict& config, const char* key, std::initializer_list<std::pair<const char*, Enum>> names) {
  const auto given = read<std::string>(config, key);
  std::string known;
  for (const auto& [name, value] : names) {
    if (given == name) return value;
    known += std::string(known.empty() ? "" : ", ") + name;
  }
  throw std::invalid_argument(std::string("config: ") + key + " is '" + given + "'; expected one of " + known);
}

inline Ragged ragged(const Int32Array& ids, const Int64Array& offsets, const char* name, int64_t vocab_size,
                     int64_t max_positions) {
  require_shape(ids, name, {kAny});
  const Ragged view{ids.data(), offsets.data(), require_offsets(offsets, "offsets", ids.size())};
  for (int64_t i = 0; i < ids.size(); ++i) {
    if (view.ids[i] < 0 || view.ids[i] >= vocab_size) {
      throw std::invalid_argument(std::string(name) + " has id " + std::to_string(view.ids[i]) +
                                  "; expected ids in [0, " + std::to_string(vocab_size) + ")");
    }
  }
  for (int64_t b = 0; max_positions > 0 && b < view.batch_size; ++b) {
    if (view.length(b) > max_positions) {
      throw std::invalid_argument(std::string(name) + "[" + std::to_string(b) + "] has " +
                                  std::to_string(view.length(b)) + " tokens; the model has positions for " +
                                  std::to_string(max_positions));
    }
  }
  return view;
}

/// The source sentences of a model.
inline Ragged source_of(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets) {
  return ragged(ids, offsets, "ids", model.source_vocab_size(), model.max_source_positions());
}

/// Target sequences, as many as there are sources.
inline Ragged target_of(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, int64_t batch_size) {
  const Ragged target = ragged(ids, offsets, "target_ids", model.target_vocab_size(), model.max_positions());
  if (batch_size != target.batch_size) {
    throw std::invalid_argument("target_offsets has " + std::to_string(target.batch_size) +
                                " sequences; expected as many as offsets, " + std::to_string(batch_size));
  }
  return target;
}

/// Whether Python wants to stop (a signal handler raised); the error stays set.
inline bool interrupted() {
  py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

/// Runs `work(cancellation)` without the GIL; a pending Python exception becomes the result when it is cancelled.
template <typename Work>
void run_interruptibly(const Work& work) {
  bool cancelled = false;
  {
    py::gil_scoped_release release;
    Cancellation cancellation(interrupted);
    try {
      work(cancellation);
    } catch (const Cancelled&) {
      cancelled = true;
    }
  }
  if (cancelled) throw py::error_already_set();
}

/// Model(config, tensors, compute_type), built without the GIL; `parse` checks the configuration.
template <typename Model, typename Config>
auto model_constructor(Config (*parse)(const py::dict&)) {
  return py::init([parse](const py::dict& config, const py::object& tensors, const std::string& compute_type) {
    const Config parsed = parse(config);
    const TensorMap map = tensor_map(tensors, parse_compute_type(compute_type));
    py::gil_scoped_release release;
    auto model = std::make_unique<Model>(parsed, map);
    model->keep(map.record());
    return model;
  });
}

}  // namespace fastseq::bindings
