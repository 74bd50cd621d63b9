// What search takes from Python, shared by the bindings that run it.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "search/options.h"

namespace fastseq::bindings {

namespace py = pybind11;

/// The options dictionary of GenerationConfig.resolve(). ValueError for what is missing or of the wrong type; the
/// search itself checks the values.
SearchOptions parse_search_options(const py::dict& options);

}  // namespace fastseq::bindings
