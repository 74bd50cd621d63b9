// The first half of attention: scores of a few queries against a block of keys.
#pragma once

#include "kernels/args.h"
#include "kernels/matmul_tile.h"
#include "simd/rows.h"
#include "simd/transpose.h"

namespace fastseq {
namespace {

constexpr int64_t kBlock = kAttentionBlock;
#if defined(FASTSEQ_ISA_AVX512)
constexpr int kKeyVectors = 4;
#else
constexpr int kKeyVectors = 2;
#endif
constexpr int64_t kKeyPanel = kKeyVectors * kLanes;  // divides kBlock
constexpr int kTileRows = max_rows<kKeyVectors>();

/// The end of the keys that query `row` may see.
inline int64_t visible_keys(const AttentionArgs& args, int64_t row) {
  const int64_t last = row + args.causal_offset + (args.is_causal ? 1 : args.window);
  if ((!args.is_causal && args.window == 0) || last >= args.keys) return args.keys;
  return last < 0 ? 0 : last;
}

/// The first key that query `row` may see.
inline int64_t first_visible(const AttentionArgs& args, int64_t row) {
  const int64_t first = row + args.causal_offset - args.window + 1;
  return args.window == 0 || first < 0 ? 0 : first;
}

/// Whole panels and whole groups of virtual lanes: what scores are computed for.
constexpr int64_t kScoreUnit = kKeyPanel > kVirtualLanes ? kKeyPanel : kVirtualLanes;

/// `count` keys of a block, at most all, rounded up to whole units.
inline int64_t padded_count(int64_t count) {
  return count < kBlock ? (count + kScoreUnit - 1) / kScoreUnit * kScoreUnit : kBlock;
}

/// `padded` keys from (keys, head_size) to panels with the lanes along keys, zero beyond the last.
void pack_keys(const AttentionArgs& args, int64_t first_key, int64_t padded, float* packed) {
  const int64_t size = args.head_size;
  for (int64_t lane = 0; lane < padded; lane += 8) {
    const int64_t first = first_key + lane, count = args.keys - first;
    float* to = packed + lane / kKeyPanel * size * kKeyPanel + lane % kKeyPanel;
    const float* from = args.key + first * args.key_stride;
    int64_t d = 0;
    if (count >= 8) {
      for (; d + 8 <= size; d += 8) transpose8x8(from + d, args.key_stride, to + d * kKeyPanel, kKeyPanel);
    }
    for (; d < size; ++d) {
      for (int64_t i = 0; i < 8; ++i) to[d * kKeyPanel + i] = i < count ? from[i * args.key_stride + d] : 0.0f;
    }
  }
}

/// scores (R, Q panels), rows kBlock apart, = scale * query . key; `keys` are the packed panels.
template <int R, int Q>
void panel_scores(const AttentionArgs& args, const float* keys, int64_t row, float* scores) {
  Tile<R, kKeyVectors, Q> tile;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < kKeyVectors; ++p) tile.sum[r][q][p] = broadcast(0.0f);
    }
  }
  tile.multiply(args.query + row * args.query_stride, args.query_stride, keys, kKeyPanel * args.head_size,
                args.head_size);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 4
      for (int p = 0; p < kKeyVectors; ++p) {
        store(scores + r * kBlock + q * kKeyPanel + p * kLanes, tile.sum[r][q][p] * broadcast(args.scale));
      }
    }
  }
}

/// scores (R, padded) of a block from its key `begin` on, masked; -inf where a key is not visible. `keys` is the packed
/// block, or with `pack` the place for the panels of the moment: a single tile of queries takes them from the
/// first-level cache.
template <int R>
void block_scores(const AttentionArgs& args, float* keys, bool pack, int64_t row, int64_t first_key, int64_t begin,
                  int64_t padded, float (*scores)[kBlock]) {
  constexpr int kTogether = R == 1 ? 4 : 1;  // panels: enough chains of fma to hide their latency
  for (int64_t key = begin; key < padded;) {
    const int64_t left = padded - key, width = left < kTogether * kKeyPanel ? kKeyPanel : kTogether * kKeyPanel;
    if (pack) pack_keys(args, first_key + key, width, keys);
    const float* panels = pack ? keys : keys + key * args.head_size;
    if (width == kKeyPanel) {
      panel_scores<R, 1>(args, panels, row, scores[0] + key);
    } else {
      panel_scores<R, kTogether>(args, panels, row, scores[0] + key);
    }
    key += width;
  }
  const int64_t count = args.keys - first_key < padded ? args.keys - first_key : padded;
  for (int r = 0; r < R; ++r) {
    const int64_t mask_row = (row + r) * args.mask_query_stride + first_key * args.mask_key_stride;
    if (args.mask != nullptr) {
      const uint8_t* mask = args.mask + mask_row;
      for (int64_t k = begin; k < count; ++k) {
        if (mask[k * args.mask_key_stride] == 0) scores[r][k] = -kInfinity;
      }
    } else if (args.add != nullptr) {
      const float* add = args.add + mask_row;
      for (int64_t k = begin; k < count; ++k) scores[r][k] += add[k * args.mask_key_stride];
    }
    const int64_t hidden = first_visible(args, row + r) - first_key, visible = visible_keys(args, row + r) - first_key;
    for (int64_t k = begin; k < hidden && k < padded; ++k) scores[r][k] = -kInfinity;
    for (int64_t k = visible < begin ? begin : visible; k < padded; ++k) scores[r][k] = -kInfinity;
  }
}

}  // namespace
}  // namespace fastseq
