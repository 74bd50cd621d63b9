// Memory that a tile fetches while it multiplies: its share of the next panel.
//
// One line with every few products. All lines at once, before the first product, would keep its loads waiting.
#pragma once

#include "simd/simd.h"

namespace fastseq {
namespace {

struct Ahead {
  const float* from = nullptr;
  int64_t lines = 0;
};
constexpr int64_t kLineFloats = 16;

/// The share of tile t of so many, which fetch `floats` numbers together.
inline Ahead share_ahead(const float* from, int64_t floats, int64_t t, int64_t tiles) {
  const int64_t lines = floats / kLineFloats, begin = lines * t / tiles;
  return {from + begin * kLineFloats, lines * (t + 1) / tiles - begin};
}

}  // namespace
}  // namespace fastseq
