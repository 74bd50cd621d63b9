#include "layers/weight.h"

#include <cstring>

namespace fastseq {

WeightView WeightView::of(const WeightOrigin* origin) const {
  WeightView view = *this;
  view.origin_ = origin;
  return view;
}

WeightView WeightView::from_row(int64_t row, int64_t columns) const {
  const int64_t skipped = row * columns;
  WeightView view = *this;
  if (values_ != nullptr) view.values_ += skipped;
  if (halves_ != nullptr) view.halves_ += skipped;
  if (bytes_ != nullptr) view.bytes_ += skipped;
  if (scales_ != nullptr) view.scales_ += row;
  view.first_row_ += row;
  return view;
}

const float* WeightView::part(int64_t row, int64_t columns, int64_t begin, int64_t end, float* buffer) const {
  const int64_t first = row * columns + begin;
  if (values_ != nullptr) return values_ + first;
  for (int64_t k = 0; k < end - begin; ++k) {
    if (bytes_ != nullptr) {
      buffer[k] = static_cast<float>(bytes_[first + k]) * scales_[row];
    } else {
      const uint32_t bits = static_cast<uint32_t>(halves_[first + k]) << 16;
      std::memcpy(buffer + k, &bits, sizeof bits);
    }
  }
  return buffer;
}

}  // namespace fastseq
