// Layer norm (Ba et al., 2016) and RMS norm (Zhang and Sennrich, 2019) of rows (rows, size).
#include "kernels/register.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

inline float square_root(float x) {
  alignas(64) float lanes[kLanes];
  store(lanes, sqrt(broadcast(x)));
  return lanes[0];
}

inline float row_sum(const float* row, int64_t size) {
  V16 sum = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, 0.0f);
    for (int p = 0; p < kParts; ++p) sum.part[p] = sum.part[p] + x.part[p];
  }
  return reduce_add(sum);
}

/// Sum of (x - mean)^2.
inline float row_sum_squares(const float* row, int64_t size, float mean) {
  const F32 m = broadcast(mean);
  V16 sum = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, mean);
    for (int p = 0; p < kParts; ++p) {
      const F32 d = x.part[p] - m;
      sum.part[p] = fma(d, d, sum.part[p]);
    }
  }
  return reduce_add(sum);
}

/// y = (x - mean) * scale * weight + bias; weight and bias may be null.
inline void normalise(const float* x, int64_t size, float mean, float scale, const float* weight, const float* bias,
                      float* y) {
  const F32 m = broadcast(mean), s = broadcast(scale);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    V16 v = load16_row(x + i, size - i, 0.0f);
    V16 w = broadcast16(1.0f), b = broadcast16(0.0f);
    if (weight != nullptr) w = load16_row(weight + i, size - i, 0.0f);
    if (bias != nullptr) b = load16_row(bias + i, size - i, 0.0f);
    for (int p = 0; p < kParts; ++p) v.part[p] = fma((v.part[p] - m) * s, w.part[p], b.part[p]);
    store16_row(y + i, v, size - i);
  }
}

void layer_norm(const float* input, int64_t rows, int64_t size, const float* weight, const float* bias, float eps,
                float* output) {
  const float count = static_cast<float>(size);
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = input + r * size;
    const float mean = row_sum(x, size) / count;
    const float variance = row_sum_squares(x, size, mean) / count;
    normalise(x, size, mean, 1.0f / square_root(variance + eps), weight, bias, output + r * size);
  }
}

void rms_norm(const float* input, int64_t rows, int64_t size, const float* weight, float eps, float* output) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = input + r * size;
    const float mean_square = row_sum_squares(x, size, 0.0f) / static_cast<float>(size);
    normalise(x, size, 0.0f, 1.0f / square_root(mean_square + eps), weight, nullptr, output + r * size);
  }
}

}  // namespace

FASTSEQ_REGISTER(norm) {
  table.layer_norm = layer_norm;
  table.rms_norm = rms_norm;
}

}  // namespace fastseq
