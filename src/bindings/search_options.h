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

/// The options dictionary of GenerationConfig.resolve(). ValueError for what is missing or of the wrong type; the
/// search itself checks the values.
SearchOptions parse_search_options(const py::dict& options);

}  // namespace fastseq::bindings
