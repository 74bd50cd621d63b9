// Descriptions of Transformers as Python gives them.
#pragma once

#include <pybind11/pybind11.h>

#include "models/transformer_config.h"

namespace fastseq::bindings {

namespace py = pybind11;

/// The entry `part` of a configuration; std::invalid_argument names what is wrong with it.
TransformerStackConfig stack_config(const py::dict& config, const char* part);

}  // namespace fastseq::bindings
