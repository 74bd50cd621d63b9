// softmax and log_softmax of rows (rows, size), shifted by the row's maximum.
#include "kernels/register.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

void softmax(const float* input, int64_t rows, int64_t size, float* output) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = input + r * size;
    float* y = output + r * size;
    const F32 norm = broadcast(1.0f / row_sum_exp(x, size, row_max(x, size), y));
    for (int64_t i = 0; i < size; i += kVirtualLanes) {
      V16 e = load16_row(y + i, size - i, 0.0f);
      for (int p = 0; p < kParts; ++p) e.part[p] = e.part[p] * norm;
      store16_row(y + i, e, size - i);
    }
  }
}

/// (x - max) - log(sum e^(x - max)): in this order small results keep their accuracy beside a large maximum.
void log_softmax(const float* input, int64_t rows, int64_t size, float* output) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = input + r * size;
    const float largest = row_max(x, size);
    const F32 shift = broadcast(largest), log_sum = broadcast(row_log_sum(x, size, largest));
    for (int64_t i = 0; i < size; i += kVirtualLanes) {
      V16 v = load16_row(x + i, size - i, 0.0f);
      for (int p = 0; p < kParts; ++p) v.part[p] = (v.part[p] - shift) - log_sum;
      store16_row(output + r * size + i, v, size - i);
    }
  }
}

}  // namespace

FASTSEQ_REGISTER(softmax) {
  table.softmax = softmax;
  table.log_softmax = log_softmax;
}

}  // namespace fastseq
