// Scaled dot-product attention of one head, with PyTorch's semantics, in blocks of 256 keys.
//
// For each tile of queries a running maximum m and sum l per query (online softmax: Milakov and Gimelshein, 2018;
// Dao et al., 2022), so that no matrix of queries times keys is ever stored:
//   m' = max(m, max_k s_k), p_k = e^(s_k - m'), l' = l e^(m - m') + sum_k p_k, o' = o e^(m - m') + sum_k p_k v_k
// Blocks start at fixed keys, and a key that causality or a window hides is not touched, so a query's result depends
// neither on the other queries nor on what it does not see. With a window only the panels of keys that a tile of
// queries sees are computed. Several tiles of queries pass over a block, whose keys and values
// then come from the second-level cache however many keys there are.
#include "kernels/attention_scores.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

constexpr int64_t kTilesTogether = 16;
static_assert(kTileRows * kTilesTogether <= kAttentionQueries, "attention_scratch_size has room for so many rows");

/// What all tiles of a head share.
struct Head {
  const AttentionArgs& args;
  float* keys;          // packed keys: (kBlock / kKeyPanel, head_size, kKeyPanel) for each block, lanes along keys
  bool pack_blocks;     // `keys` holds the panels of the moment, packed when needed: for a single tile of queries
  const float* values;  // (keys, value_stride), readable up to value_width
  int64_t value_stride;
  int64_t value_width;  // value_size rounded up to whole vectors
  float* output;        // (rows of kTilesTogether tiles, value_width), not yet divided by l
};

/// Running state of one query.
struct Row {
  float largest;
  V16 sum;
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

/// Queries [row, row + R) over the block of keys from `first` on; `rows` is their state, `output` (R, value_width).
template <int R>
void attend_block(const Head& head, int64_t row, int64_t first, Row* rows, float* output) {
  const AttentionArgs& args = head.args;
  const int64_t end = visible_keys(args, row + R - 1);
  const int64_t begin = within_block(first_visible(args, row), first) / kScoreUnit * kScoreUnit;
  if (first >= end || begin == kBlock) return;
  alignas(64) float scores[R][kBlock];
  float factor[R];
  const int64_t padded = padded_count(end - first);
  float* keys = head.keys + (head.pack_blocks ? 0 : first * args.head_size);
  block_scores<R>(args, keys, head.pack_blocks, row, first, begin, padded, scores);
  for (int r = 0; r < R; ++r) factor[r] = absorb(rows[r], scores[r] + begin, padded - begin);
  // Together over the keys that all rows see; where causality or a window cuts, each begins and goes on alone.
  const auto last_of = [&](int r) { return within_block(visible_keys(args, row + r), first); };
  const int64_t common = within_block(first_visible(args, row + R - 1), first);
  const int64_t common_end = last_of(0) < common ? common : last_of(0);
  for (int r = 0; common > 0 && r + 1 < R; ++r) {
    const int64_t own = within_block(first_visible(args, row + r), first);
    const int64_t own_end = last_of(r) < common ? last_of(r) : common;
    if (own >= own_end) continue;
    accumulate_row<1>(head, first, scores[r], factor + r, own, own_end, output + r * head.value_width);
    factor[r] = 1.0f;
  }
  accumulate_row<R>(head, first, scores[0], factor, common, common_end, output);
  for (int r = 1; r < R; ++r) {
    const float one = 1.0f;
    if (last_of(r) > common_end) {
      accumulate_row<1>(head, first, scores[r], &one, common_end, last_of(r), output + r * head.value_width);
    }
  }
}

template <int R>
void attend_rows(const Head& head, int64_t height, int64_t row, int64_t first, Row* rows, float* output) {
  if constexpr (R > 0) {
    if (height == R) {
      attend_block<R>(head, row, first, rows, output);
    } else {
      attend_rows<R - 1>(head, height, row, first, rows, output);
    }
  }
}

/// Queries of the tiles [tile, tile_end) of `tiles` that all queries are shared out to.
void attend_tiles(const Head& head, int64_t tile, int64_t tile_end, int64_t tiles) {
  const AttentionArgs& args = head.args;
  const auto first_row = [&](int64_t t) { return args.queries * t / tiles; };
  const int64_t begin = first_row(tile), count = first_row(tile_end) - begin;
  Row rows[kTilesTogether * kTileRows];
  for (int64_t r = 0; r < count; ++r) rows[r] = {-kInfinity, broadcast16(0.0f)};
  std::memset(head.output, 0, static_cast<std::size_t>(count * head.value_width) * sizeof(float));
  const int64_t end = visible_keys(args, begin + count - 1);
  for (int64_t first = first_visible(args, begin) / kBlock * kBlock; first < end; first += kBlock) {
    for (int64_t t = tile; t < tile_end; ++t) {
      const int64_t row = first_row(t), in_group = row - begin;
      attend_rows<kTileRows>(head, first_row(t + 1) - row, row, first, rows + in_group,
                             head.output + in_group * head.value_width);
    }
  }
  for (int64_t r = 0; r < count; ++r) {
    const float sum = reduce_add(rows[r].sum);
    const float norm = 1.0f / sum;
    const float* from = head.output + r * head.value_width;
    float* to = args.output + (begin + r) * args.output_stride;
    // A sum of 0 means that everything is masked: 0, as PyTorch gives.
    for (int64_t d = 0; d < args.value_size; ++d) to[d] = sum == 0.0f ? 0.0f : from[d] * norm;
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
  for (int64_t tile = 0; tile < tiles; tile += kTilesTogether) {
    attend_tiles(head, tile, tile + kTilesTogether < tiles ? tile + kTilesTogether : tiles, tiles);
  }
}

}  // namespace

FASTSEQ_REGISTER(attention) { table.attention = attention; }

}  // namespace fastseq
