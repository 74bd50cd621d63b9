// The one place where NumPy arrays become views for the core.
//
// Python code has checked and converted the arguments; these types accept exactly what the core reads (dtype,
// C order) and refuse everything else, so that a wrong call from elsewhere is an exception and not a wild read.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>

namespace fastseq::bindings {

namespace py = pybind11;

// No py::array::forcecast: an array of another dtype is a TypeError, not a silent copy.
using FloatArray = py::array_t<float, py::array::c_style>;
using Int8Array = py::array_t<int8_t, py::array::c_style>;
using Int32Array = py::array_t<int32_t, py::array::c_style>;
using Int64Array = py::array_t<int64_t, py::array::c_style>;
using BoolArray = py::array_t<bool, py::array::c_style>;

constexpr int64_t kAny = -1;

inline std::string shape_text(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

/// ValueError unless `array` has this shape; kAny stands for any length.
inline void require_shape(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  bool same = array.ndim() == static_cast<py::ssize_t>(shape.size());
  py::ssize_t i = 0;
  std::string wanted;
  for (const int64_t length : shape) {
    if (same) same = length == kAny || array.shape(i) == length;
    wanted += (i > 0 ? ", " : "") + (length == kAny ? std::string("*") : std::to_string(length));
    ++i;
  }
  if (!same) {
    throw std::invalid_argument(std::string(name) + " has shape " + shape_text(array) + "; expected (" + wanted + ")");
  }
}

/// Offsets of B sequences over `tokens` tokens: B + 1 numbers from 0 to tokens, never falling. Returns B.
inline int64_t require_offsets(const Int64Array& offsets, const char* name, int64_t tokens) {
  require_shape(offsets, name, {kAny});
  const int64_t count = offsets.size();
  bool valid = count >= 1 && offsets.at(0) == 0 && offsets.at(count - 1) == tokens;
  for (int64_t i = 1; valid && i < count; ++i) valid = offsets.at(i - 1) <= offsets.at(i);
  if (!valid) {
    throw std::invalid_argument(std::string(name) + " must rise from 0 to the number of tokens, " +
                                std::to_string(tokens));
  }
  return count - 1;
}

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

template <typename Array>
auto* data_or_null(const std::optional<Array>& array) {
  return array ? array->data() : nullptr;
}

}  // namespace fastseq::bindings
