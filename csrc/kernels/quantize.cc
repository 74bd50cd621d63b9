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

void quantize_rows(const QuantizeArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* row = args.input + r * args.input_stride;
    int8_t* to = args.output + r * args.output_stride;
    const float largest = magnitude(row, args.size);
    const bool usable = largest >= kSmallest;  // not NaN either
    args.scales[r] = usable ? largest / 127.0f : largest * 0.0f;
    if (!usable) {
      std::memset(to, args.offset, static_cast<std::size_t>(args.padded_size));
      continue;
    }
    const F32 inverse = broadcast(127.0f / largest);
    for (int64_t i = 0; i < args.size; i += kVirtualLanes) {
      V16 q = load16_row(row + i, args.size - i, 0.0f);
      for (int p = 0; p < kParts; ++p) q.part[p] = round(q.part[p] * inverse);
      const int64_t left = args.padded_size - i;
      if (left >= kVirtualLanes) {
        store_bytes(to + i, q, args.offset);
      } else {
        int8_t bytes[kVirtualLanes];
        store_bytes(bytes, q, args.offset);
        std::memcpy(to + i, bytes, static_cast<std::size_t>(left));
      }
    }
    const int64_t written = (args.size + kVirtualLanes - 1) / kVirtualLanes * kVirtualLanes;
    if (written < args.padded_size) {
      std::memset(to + written, args.offset, static_cast<std::size_t>(args.padded_size - written));
    }
  }
}

}  // namespace

FASTSEQ_REGISTER(quantize) {
  table.int8_offset = kInputOffset;
  table.quantize_rows = quantize_rows;
}

}  // namespace fastseq
