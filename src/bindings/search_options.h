// What search takes from Python, shared by the bindings that run it.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "search/options.h"

namespace fastseq::bindings {

namespace py = pybind11;

/// entries[key] as T; ValueError, which calls the dictionary `name`, for a key that is missing or of another type.
template <typename T>
T read_entry(const py::dict& entries, const char* name, const char* key) {
  if (!entries.contains(key)) throw std::invalid_argument(std::string(name) + ": " + key + " is missing");
  try {
    return entries[key].cast<T>();
  } catch (const py::cast_error&) {
    throw std::invalid_argument(std::string(name) + ": " + key + " is " + py::repr(entries[key]).cast<std::string>() +
                                ", of the wrong type");
  }
}

template <typename T>
T read_option(const py::dict& options, const char* key) {
  return read_entry<T>(options, "options", key);
}

inline EarlyStopping parse_early_stopping(const py::dict& options) {
  const auto value = read_option<py::object>(options, "early_stopping");
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>() ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  if (py::isinstance<py::str>(value) && value.cast<std::string>() == "never") return EarlyStopping::kNever;
  throw std::invalid_argument("early_stopping is " + py::repr(value).cast<std::string>() +
                              "; expected True, False or 'never'");
}

/// The options dictionary of GenerationConfig.resolve(). ValueError for what is missing or out of range.
inline SearchOptions parse_search_options(const py::dict& options) {
  SearchOptions parsed;
  parsed.num_beams = read_option<int64_t>(options, "num_beams");
  parsed.num_return_sequences = read_option<int64_t>(options, "num_return_sequences");
  parsed.max_length = read_option<int64_t>(options, "max_length");
  parsed.min_length = read_option<int64_t>(options, "min_length");
  parsed.length_penalty = read_option<double>(options, "length_penalty");
  parsed.early_stopping = parse_early_stopping(options);
  parsed.start_id = read_option<int32_t>(options, "start_id");
  parsed.eos_ids = read_option<std::vector<int32_t>>(options, "eos_ids");
  check_options(parsed);
  return parsed;
}

}  // namespace fastseq::bindings
