// What the weights of a layer are computed in, as Python names it.
#pragma once

#include <stdexcept>
#include <string>

#include "layers/weight.h"

namespace fastseq::bindings {

inline ComputeType parse_compute_type(const std::string& name) {
  if (name == "float32") return ComputeType::kFloat32;
  if (name == "bfloat16") return ComputeType::kBfloat16;
  if (name == "int8") return ComputeType::kInt8;
  throw std::invalid_argument("compute_type is '" + name + "'; expected 'float32', 'bfloat16' or 'int8'");
}

}  // namespace fastseq::bindings
