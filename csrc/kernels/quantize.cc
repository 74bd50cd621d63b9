// Rows of floats as int8 with one scale a row (the formula: QuantizeArgs in args.h).
#include <cstring>

#include "kernels/register.h"
#include "simd/int8.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

constexpr float kSmallest = 0x1p-120f;  // 127 / kSmallest is still finite

/// Largest magnitude of a row; NaN if a number of it is not finite.
inline float magnitude(const float* row, int64_t size) {
  V16 largest = broadcast16(0.0f), poison = broadcast16(0.0f);
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, 0.0f);
    for (int p = 0; p < kParts; ++p) {
      largest.part[p] = max(abs(x.part[p]), largest.part[p]);
      poison.part[p] = fma(x.part[p], broadcast(0.0f), poison.part[p]);  // NaN from NaN and infinities
    }
  }
  return reduce_max(largest) + reduce_add(poison);
}

/// What a row is multiplied by; 0 where it becomes zeros. Writes its scale.
inline float inverse_scale(const float* row, int64_t size, float* scale) {
  const float largest = magnitude(row, size);
  const bool usable = largest >= kSmallest;  // not NaN either
  *scale = usable ? largest / 127.0f : largest * 0.0f;
  return usable ? 127.0f / largest : 0.0f;
}

/// Sixteen numbers of a row from i on, zeros beyond its end and for an inverse of 0, whatever stands there.
inline V16 quantized(const float* row, int64_t i, int64_t size, float inverse) {
  if (inverse == 0.0f) return broadcast16(0.0f);
  V16 q = load16_row(row + i, size - i, 0.0f);
  for (int p = 0; p < kParts; ++p) q.part[p] = round(q.part[p] * broadcast(inverse));
  return q;
}

void quantize_rows(const QuantizeArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* row = args.input + r * args.input_stride;
    int8_t* to = args.output + r * args.output_stride;
    const float inverse = inverse_scale(row, args.size, args.scales + r);
    for (int64_t i = 0; i < args.size; i += kVirtualLanes) {
      const V16 q = quantized(row, i, args.size, inverse);
      const int64_t left = args.size - i;
      if (left >= kVirtualLanes) {
        store_bytes(to + i, q);
      } else {
        int8_t bytes[kVirtualLanes];
        store_bytes(bytes, q);
        std::memcpy(to + i, bytes, static_cast<std::size_t>(left));
      }
    }
  }
}

void quantize_inputs(const QuantizeArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* row = args.input + r * args.input_stride;
    int8_t* to = args.output + r * args.output_stride;
    const float inverse = inverse_scale(row, args.size, args.scales + r);
    V16 negative = broadcast16(0.0f);  // less than 2^24 in each lane, so whole
    for (int64_t i = 0; i < args.size; i += kVirtualLanes) {
      const V16 q = quantized(row, i, args.size, inverse);
      store_inputs(to + i * kInputBytes, q);
      for (int p = 0; p < kParts; ++p) negative.part[p] = negative.part[p] - min(q.part[p], broadcast(0.0f));
    }
    alignas(64) float lanes[kVirtualLanes];
    store16(lanes, negative);
    int32_t sum = 0;
    for (int i = 0; i < kVirtualLanes; ++i) sum += static_cast<int32_t>(lanes[i]);
    args.sums[r] = sum;
  }
}

}  // namespace

FASTSEQ_REGISTER(quantize) {
  table.int8_input_bytes = kInputBytes;
  table.quantize_rows = quantize_rows;
  table.quantize_inputs = quantize_inputs;
}

}  // namespace fastseq
