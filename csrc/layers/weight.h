// What a weight is computed in, and a weight as it is stored.
#pragma once

#include <cstdint>

namespace fastseq {

/// Of the weights of dense and recurrent layers. Biases, norms and everything between layers are float32.
enum class ComputeType : int32_t { kFloat32, kBfloat16, kInt8 };

/// A weight (rows, columns) in C order, as float32, bfloat16, or int8 with a scale for each row. A view.
class WeightView {
 public:
  WeightView(const float* values) : values_(values) {}  // implicit: most weights are floats
  explicit WeightView(const uint16_t* halves) : halves_(halves) {}
  WeightView(const int8_t* bytes, const float* scales) : bytes_(bytes), scales_(scales) {}

  const float* values() const { return values_; }     // null unless float32
  const uint16_t* halves() const { return halves_; }  // null unless bfloat16
  const int8_t* bytes() const { return bytes_; }      // null unless int8
  const float* scales() const { return scales_; }     // (rows), with bytes()

  /// The weight without its first rows.
  WeightView from_row(int64_t row, int64_t columns) const;
  /// One row as floats; `buffer` holds it unless it is stored so.
  const float* row(int64_t row, int64_t columns, float* buffer) const;

 private:
  const float* values_ = nullptr;
  const uint16_t* halves_ = nullptr;
  const int8_t* bytes_ = nullptr;
  const float* scales_ = nullptr;
};

/// The bfloat16 number nearest to x, ties to even; NaN stays NaN.
uint16_t to_bfloat16(float x);

}  // namespace fastseq
