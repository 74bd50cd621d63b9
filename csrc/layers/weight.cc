#include "layers/weight.h"

#include <cstring>

namespace fastseq {

WeightView WeightView::from_row(int64_t row, int64_t columns) const {
  const int64_t skipped = row * columns;
  if (bytes_ != nullptr) return {bytes_ + skipped, scales_ + row};
  return halves_ != nullptr ? WeightView(halves_ + skipped) : WeightView(values_ + skipped);
}

const float* WeightView::row(int64_t row, int64_t columns, float* buffer) const {
  if (values_ != nullptr) return values_ + row * columns;
  for (int64_t k = 0; k < columns; ++k) {
    if (bytes_ != nullptr) {
      buffer[k] = static_cast<float>(bytes_[row * columns + k]) * scales_[row];
    } else {
      const uint32_t bits = static_cast<uint32_t>(halves_[row * columns + k]) << 16;
      std::memcpy(buffer + k, &bits, sizeof bits);
    }
  }
  return buffer;
}

uint16_t to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace fastseq
