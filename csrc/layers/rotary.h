// Rotary positions (Su et al., 2021).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "runtime/buffer.h"

namespace fastseq {

/// Turns the pairs (x_i, x_{i + size/2}) of each head, which is `size` wide, at position t by the angle t * f_i with
/// f_i = theta^(-2i / size). Angles are rounded to float32, as published models have learned with them; the table of
/// sines and cosines grows to the farthest position that was asked for.
class Rotary {
 public:
  Rotary(float theta, int64_t size) : theta_(theta), half_(size / 2) {}

  /// x (rows, stride), the first `heads` * size of each row, in place; row i is at position `positions[i]`.
  void turn(const int64_t* positions, int64_t rows, int64_t heads, int64_t stride, float* x) const;

 private:
  std::shared_ptr<const Buffer<float>> table(int64_t count) const;

  float theta_;
  int64_t half_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Buffer<float>> table_;  // (positions, 2, half): cosines, then sines
};

}  // namespace fastseq
