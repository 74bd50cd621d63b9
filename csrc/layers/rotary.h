// Rotary positions (Su et al., 2021).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/buffer.h"

namespace fastseq {

/// Turns the pairs (x_i, x_{i + size/2}) of each head, which is `size` wide, at position t by the angle t * f_i with
/// f_i = theta^(-2i / size). Angles are rounded to float32, as published models have learned with them; the table of
/// sines and cosines grows to the farthest position that was asked for.
class Rotary {
 public:
  Rotary(float theta, int64_t size) : theta_(theta), half_(size / 2) {}
  ~Rotary() { delete table_.load(); }
  Rotary(const Rotary&) = delete;
  Rotary& operator=(const Rotary&) = delete;

  /// x (rows, stride), the first `heads` * size of each row, in place; row i is at position `positions[i]`.
  void turn(const int64_t* positions, int64_t rows, int64_t heads, int64_t stride, float* x) const;

 private:
  struct Table {
    Buffer<float> numbers;                 // (positions, 2, half): cosines, then sines
    std::unique_ptr<const Table> smaller;  // somebody may still read it
  };
  const float* table(int64_t positions) const;

  float theta_;
  int64_t half_;
  mutable std::atomic<const Table*> table_{nullptr};  // without a lock, so that a forked child finds nothing locked
};

}  // namespace fastseq
