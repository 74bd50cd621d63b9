// The end of a product: what a tile has written is activated while it is in the first-level cache.
#pragma once

#include "simd/activations.h"

namespace fastseq {
namespace {

/// output (rows, columns) = activation(output), in place. Compiled once and not into every tile, whose
/// accumulators would have to leave the registers for it.
FASTSEQ_NOINLINE void activate_tile(Activation activation, float* output, int64_t stride, int64_t rows,
                                    int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; i += kLanes) {
      float* at = output + r * stride + i;
      const int64_t left = columns - i;
      if (left >= kLanes) {
        store(at, activate(activation, load(at)));
      } else {
        store_partial(at, activate(activation, load_partial(at, left)), left);
      }
    }
  }
}

}  // namespace
}  // namespace fastseq
