// Scaled dot-product attention of one head, with PyTorch's semantics, in blocks of 256 keys.
//
// For each tile of queries a running maximum m and sum l per query (online softmax: Milakov and Gimelshein, 2018;
// Dao et al., 2022), so that no matrix of queries times keys is ever stored:
//   m' = max(m, max_k s_k), p_k = e^(s_k - m'), l' = l e^(m - m') + sum_k p_k, o' = o e^(m - m') + sum_k p_k v_k
// Blocks start at fixed keys, and a key that causality hides is not touched, so a query's result depends neither
// on the other queries nor on what comes after it.
#include "kernels/matmul_tile.h"
#include "kernels/register.h"
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
static_assert(kTileRows <= 8, "attention_scratch_size has room for eight rows");

/// What all tiles of a head share.
struct Head {
  const AttentionArgs& args;
  float* keys;          // packed keys: (kBlock / kKeyPanel, head_size, kKeyPanel) for each block, lanes along keys
  bool pack_blocks;     // `keys` holds the panels of the moment, packed when needed: for a single tile of queries
  const float* values;  // (keys, value_stride), readable up to value_width
  int64_t value_stride;
  int64_t value_width;  // value_size rounded up to whole vectors
  float* output;        // (kTileRows, value_width): of the current tile, not yet divided by l
};

/// How many keys, from the first, query `row` may see.
inline int64_t visible_keys(const AttentionArgs& args, int64_t row) {
  const int64_t last = row + args.causal_offset + 1;
  if (!args.is_causal || last >= args.keys) return args.keys;
  return last < 0 ? 0 : last;
}

/// `count` keys of a block, at most all, rounded up to what scores are computed for: whole panels and whole groups
/// of virtual lanes.
inline int64_t padded_count(int64_t count) {
  constexpr int64_t kUnit = kKeyPanel > kVirtualLanes ? kKeyPanel : kVirtualLanes;
  return count < kBlock ? (count + kUnit - 1) / kUnit * kUnit : kBlock;
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

/// Values with rows of whole vectors.
void pad_values(const AttentionArgs& args, int64_t width, float* padded) {
  for (int64_t k = 0; k < args.keys; ++k) {
    for (int64_t d = 0; d < width; ++d) {
      padded[k * width + d] = d < args.value_size ? args.value[k * args.value_stride + d] : 0.0f;
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

/// scores (R, padded) of a block, masked; -inf beyond the last visible key. `keys` is the packed block, or with
/// `pack` the place for the panels of the moment: a single tile of queries takes them from the first-level cache.
template <int R>
void block_scores(const AttentionArgs& args, float* keys, bool pack, int64_t row, int64_t first_key, int64_t padded,
                  float (*scores)[kBlock]) {
  constexpr int kTogether = R == 1 ? 4 : 1;  // panels: enough chains of fma to hide their latency
  for (int64_t key = 0; key < padded;) {
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
      for (int64_t k = 0; k < count; ++k) {
        if (mask[k * args.mask_key_stride] == 0) scores[r][k] = -kInfinity;
      }
    } else if (args.add != nullptr) {
      const float* add = args.add + mask_row;
      for (int64_t k = 0; k < count; ++k) scores[r][k] += add[k * args.mask_key_stride];
    }
    const int64_t visible = visible_keys(args, row + r) - first_key;
    for (int64_t k = visible < 0 ? 0 : visible; k < padded; ++k) scores[r][k] = -kInfinity;
  }
}

/// Running state of one query.
struct Row {
  float largest = -kInfinity;
  V16 sum = broadcast16(0.0f);
};

/// scores := e^(scores - m'); returns e^(m - m'), by which what was summed before must be scaled.
inline float absorb(Row& row, float* scores, int64_t padded) {
  const float block = row_max(scores, padded);
  const float largest = block > row.largest ? block : row.largest;
  // While everything is masked the maximum is -inf; shifting by 0 makes e^(-inf) = 0 of each score.
  const float shift = largest == -kInfinity ? 0.0f : largest;
  alignas(64) float scale[kLanes];
  store(scale, exp_nonpositive(broadcast(row.largest - shift)));
  const F32 factor = broadcast(scale[0]), s = broadcast(shift);
  for (int p = 0; p < kParts; ++p) row.sum.part[p] = row.sum.part[p] * factor;
  for (int64_t k = 0; k < padded; k += kVirtualLanes) {
    for (int p = 0; p < kParts; ++p) {
      const F32 e = exp_nonpositive(load(scores + k + p * kLanes) - s);
      store(scores + k + p * kLanes, e);
      row.sum.part[p] = row.sum.part[p] + e;
    }
  }
  row.largest = largest;
  return scale[0];
}

/// output (R, columns of P vectors) = output * factor + weights (R, kBlock) @ values, for keys [begin, end) of a
/// block.
template <int R, int P>
void accumulate(const Head& head, int64_t first_key, const float* weights, const float* factor, int64_t begin,
                int64_t end, float* output, int64_t column) {
  Tile<R, P> tile;
  output += column;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      tile.sum[r][0][p] = load(output + r * head.value_width + p * kLanes) * broadcast(factor[r]);
    }
  }
  tile.multiply(weights + begin, kBlock, head.values + (first_key + begin) * head.value_stride + column, 0, end - begin,
                head.value_stride);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) store(output + r * head.value_width + p * kLanes, tile.sum[r][0][p]);
  }
}

/// The same for all columns.
template <int R>
void accumulate_row(const Head& head, int64_t first_key, const float* weights, const float* factor, int64_t begin,
                    int64_t end, float* output) {
  int64_t column = 0;
  if constexpr (R == 1) {  // values are read in the order they lie in, and the chains of fma hide their latency
    for (; column + 8 * kLanes <= head.value_width; column += 8 * kLanes) {
      accumulate<R, 8>(head, first_key, weights, factor, begin, end, output, column);
    }
  }
  for (; column + kKeyPanel <= head.value_width; column += kKeyPanel) {
    accumulate<R, kKeyVectors>(head, first_key, weights, factor, begin, end, output, column);
  }
  for (; column < head.value_width; column += kLanes) {
    accumulate<R, 1>(head, first_key, weights, factor, begin, end, output, column);
  }
}

inline int64_t within_block(int64_t key, int64_t first_key) {
  const int64_t offset = key - first_key;
  return offset < 0 ? 0 : offset < kBlock ? offset : kBlock;
}

/// Queries [row, row + R).
template <int R>
void attend(const Head& head, int64_t row) {
  const AttentionArgs& args = head.args;
  alignas(64) float scores[R][kBlock];
  Row rows[R];
  float factor[R];
  std::memset(head.output, 0, static_cast<std::size_t>(R * head.value_width) * sizeof(float));
  const int64_t end = visible_keys(args, row + R - 1);
  for (int64_t first = 0; first < end; first += kBlock) {
    const int64_t padded = padded_count(end - first);
    float* keys = head.keys + (head.pack_blocks ? 0 : first * args.head_size);
    block_scores<R>(args, keys, head.pack_blocks, row, first, padded, scores);
    for (int r = 0; r < R; ++r) factor[r] = absorb(rows[r], scores[r], padded);
    // Together up to the last key that all rows see; where causality cuts, each goes on alone.
    const int64_t common = within_block(visible_keys(args, row), first);
    accumulate_row<R>(head, first, scores[0], factor, 0, common, head.output);
    for (int r = 1; r < R; ++r) {
      const int64_t own = within_block(visible_keys(args, row + r), first);
      const float one = 1.0f;
      if (own > common) {
        accumulate_row<1>(head, first, scores[r], &one, common, own, head.output + r * head.value_width);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    const float sum = reduce_add(rows[r].sum);
    const float norm = 1.0f / sum;
    const float* from = head.output + r * head.value_width;
    float* to = args.output + (row + r) * args.output_stride;
    // A sum of 0 means that everything is masked: 0, as PyTorch gives.
    for (int64_t d = 0; d < args.value_size; ++d) to[d] = sum == 0.0f ? 0.0f : from[d] * norm;
  }
}

template <int R>
void attend_rows(const Head& head, int64_t row, int64_t height) {
  if constexpr (R > 0) {
    if (height == R) {
      attend<R>(head, row);
    } else {
      attend_rows<R - 1>(head, row, height);
    }
  }
}

void attention(const AttentionArgs& args) {
  const int64_t padded_keys = (args.keys + kBlock - 1) / kBlock * kBlock;
  const int64_t width = (args.value_size + kLanes - 1) / kLanes * kLanes;
  float* values = args.scratch + padded_keys * args.head_size;
  Head head{args,
            args.scratch,
            args.queries <= kTileRows,
            args.value,
            args.value_stride,
            width,
            values + padded_keys * width};
  if (!head.pack_blocks) {
    for (int64_t key = 0; key < padded_keys; key += kBlock) {
      pack_keys(args, key, padded_count(args.keys - key), head.keys + key * args.head_size);
    }
  }
  if (width != args.value_size) {
    pad_values(args, width, values);
    head.values = values;
    head.value_stride = width;
  }
  const int64_t tiles = (args.queries + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = args.queries * t / tiles;
    attend_rows<kTileRows>(head, row, args.queries * (t + 1) / tiles - row);
  }
}

}  // namespace

FASTSEQ_REGISTER(attention) { table.attention = attention; }

}  // namespace fastseq
