// Scaled dot-product attention of one head, with PyTorch's semantics, in blocks of 64 keys.
//
// For each tile of queries a running maximum m and sum l per query (online softmax: Milakov and Gimelshein, 2018;
// Dao et al., 2022), so that no matrix of queries times keys is ever stored:
//   m' = max(m, max_k s_k), p_k = e^(s_k - m'), l' = l e^(m - m') + sum_k p_k, o' = o e^(m - m') + sum_k p_k v_k
// Blocks start at fixed keys and a key that is masked adds exactly nothing, so a query's result depends neither
// on the other queries nor on padding.
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
  const float* keys;    // (blocks, kBlock / kKeyPanel, head_size, kKeyPanel): lanes along keys
  const float* values;  // (keys, value_stride), readable up to value_width
  int64_t value_stride;
  int64_t value_width;  // value_size rounded up to whole vectors
  float* output;        // (kTileRows, value_width): of the current tile, not yet divided by l
};

/// Keys from [keys, head_size] to panels with the lanes along keys, zero beyond the last.
void pack_keys(const AttentionArgs& args, float* packed) {
  const int64_t size = args.head_size;
  const int64_t panels = (args.keys + kBlock - 1) / kBlock * (kBlock / kKeyPanel);
  for (int64_t panel = 0; panel < panels; ++panel) {
    float* to = packed + panel * size * kKeyPanel;
    for (int64_t lane = 0; lane < kKeyPanel; lane += 8) {
      const int64_t first = panel * kKeyPanel + lane;
      const float* from = args.key + first * args.key_stride;
      int64_t d = 0;
      if (first + 8 <= args.keys) {
        for (; d + 8 <= size; d += 8) transpose8x8(from + d, args.key_stride, to + d * kKeyPanel + lane, kKeyPanel);
      }
      for (; d < size; ++d) {
        for (int64_t i = 0; i < 8; ++i) {
          to[d * kKeyPanel + lane + i] = first + i < args.keys ? from[i * args.key_stride + d] : 0.0f;
        }
      }
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

/// scores (R, kBlock) = scale * query . key, masked; -inf beyond the last key.
template <int R>
void block_scores(const Head& head, int64_t row, int64_t first_key, float (*scores)[kBlock]) {
  const AttentionArgs& args = head.args;
  for (int64_t panel = 0; panel < kBlock / kKeyPanel; ++panel) {
    Tile<R, kKeyVectors> tile;
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < kKeyVectors; ++p) tile.sum[r][0][p] = broadcast(0.0f);
    }
    tile.multiply(args.query + row * args.query_stride, args.query_stride,
                  head.keys + (first_key + panel * kKeyPanel) * args.head_size, 0, args.head_size);
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < kKeyVectors; ++p) {
        store(scores[r] + panel * kKeyPanel + p * kLanes, tile.sum[r][0][p] * broadcast(args.scale));
      }
    }
  }
  const int64_t count = args.keys - first_key < kBlock ? args.keys - first_key : kBlock;
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
    int64_t end = count;
    if (args.is_causal) {
      const int64_t visible = row + r + args.causal_offset + 1 - first_key;
      if (visible < end) end = visible < 0 ? 0 : visible;
    }
    for (int64_t k = end; k < kBlock; ++k) scores[r][k] = -kInfinity;
  }
}

/// Running state of one query.
struct Row {
  float largest = -kInfinity;
  V16 sum = broadcast16(0.0f);
};

/// scores := e^(scores - m'); returns e^(m - m'), by which what was summed before must be scaled.
inline float absorb(Row& row, float* scores) {
  const float block = row_max(scores, kBlock);
  const float largest = block > row.largest ? block : row.largest;
  // While everything is masked the maximum is -inf; shifting by 0 makes e^(-inf) = 0 of each score.
  const float shift = largest == -kInfinity ? 0.0f : largest;
  alignas(64) float scale[kLanes];
  store(scale, exp(broadcast(row.largest - shift)));
  const F32 factor = broadcast(scale[0]), s = broadcast(shift);
  for (int p = 0; p < kParts; ++p) row.sum.part[p] = row.sum.part[p] * factor;
  for (int64_t k = 0; k < kBlock; k += kVirtualLanes) {
    for (int p = 0; p < kParts; ++p) {
      const F32 e = exp(load(scores + k + p * kLanes) - s);
      store(scores + k + p * kLanes, e);
      row.sum.part[p] = row.sum.part[p] + e;
    }
  }
  row.largest = largest;
  return scale[0];
}

/// output[:, columns of P vectors] = output * factor + weights @ values.
template <int R, int P>
void accumulate(const Head& head, const float (*weights)[kBlock], const float* factor, int64_t first_key,
                int64_t count, int64_t column) {
  Tile<R, P> tile;
  float* output = head.output + column;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      tile.sum[r][0][p] = load(output + r * head.value_width + p * kLanes) * broadcast(factor[r]);
    }
  }
  tile.multiply(weights[0], kBlock, head.values + first_key * head.value_stride + column, 0, count,
                head.value_stride);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) store(output + r * head.value_width + p * kLanes, tile.sum[r][0][p]);
  }
}

template <int R>
void attend(const Head& head, int64_t row) {
  const AttentionArgs& args = head.args;
  alignas(64) float scores[R][kBlock];
  Row rows[R];
  float factor[R];
  std::memset(head.output, 0, static_cast<std::size_t>(R * head.value_width) * sizeof(float));
  int64_t end = args.keys;
  if (args.is_causal && row + R + args.causal_offset < end) end = row + R + args.causal_offset;
  for (int64_t first = 0; first < end; first += kBlock) {
    block_scores<R>(head, row, first, scores);
    for (int r = 0; r < R; ++r) factor[r] = absorb(rows[r], scores[r]);
    const int64_t count = end - first < kBlock ? end - first : kBlock;
    int64_t column = 0;
    for (; column + kKeyPanel <= head.value_width; column += kKeyPanel) {
      accumulate<R, kKeyVectors>(head, scores, factor, first, count, column);
    }
    for (; column < head.value_width; column += kLanes) {
      accumulate<R, 1>(head, scores, factor, first, count, column);
    }
  }
  for (int r = 0; r < R; ++r) {
    const float sum = reduce_add(rows[r].sum);
    const float norm = sum == 0.0f ? 0.0f : 1.0f / sum;  // everything masked: 0, as PyTorch gives
    const float* from = head.output + r * head.value_width;
    float* to = args.output + (row + r) * args.output_stride;
    for (int64_t d = 0; d < args.value_size; ++d) to[d] = from[d] * norm;
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
  const int64_t blocks = (args.keys + kBlock - 1) / kBlock;
  const int64_t width = (args.value_size + kLanes - 1) / kLanes * kLanes;
  float* keys = args.scratch;
  float* values = keys + blocks * kBlock * args.head_size;
  float* output = values + blocks * kBlock * width;
  pack_keys(args, keys);
  Head head{args, keys, args.value, args.value_stride, width, output};
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

// The pieces of a recurrent decoder's attention: scores of all keys for one query, and the context.

void dot_scores(const float* query, const float* keys, int64_t key_stride, int64_t count, int64_t size,
                float* scores) {
  for (int64_t t = 0; t < count; ++t) {
    scores[t] = row_dot(query, keys + t * key_stride, size);
  }
}

/// weight . tanh(query + key) (Bahdanau et al., 2015), both already projected.
void additive_scores(const float* query, const float* keys, int64_t key_stride, int64_t count, const float* weight,
                     int64_t size, float* scores) {
  for (int64_t t = 0; t < count; ++t) {
    const float* key = keys + t * key_stride;
    V16 sum = broadcast16(0.0f);
    for (int64_t i = 0; i < size; i += kVirtualLanes) {
      const V16 a = load16_row(query + i, size - i, 0.0f), b = load16_row(key + i, size - i, 0.0f);
      const V16 w = load16_row(weight + i, size - i, 0.0f);
      for (int p = 0; p < kParts; ++p) sum.part[p] = fma(tanh(a.part[p] + b.part[p]), w.part[p], sum.part[p]);
    }
    scores[t] = reduce_add(sum);
  }
}

/// output (size) = sum over t ascending of weights[t] * values[t].
void weighted_sum(const float* weights, const float* values, int64_t value_stride, int64_t count, int64_t size,
                  float* output) {
  for (int64_t d = 0; d < size; d += kLanes) {
    const int64_t left = size - d;
    F32 sum = broadcast(0.0f);
    for (int64_t t = 0; t < count; ++t) {
      const float* value = values + t * value_stride + d;
      sum = fma(broadcast(weights[t]), left >= kLanes ? load(value) : load_partial(value, left), sum);
    }
    if (left >= kLanes) {
      store(output + d, sum);
    } else {
      store_partial(output + d, sum, left);
    }
  }
}

}  // namespace

FASTSEQ_REGISTER(attention) {
  table.attention = attention;
  table.dot_scores = dot_scores;
  table.additive_scores = additive_scores;
  table.weighted_sum = weighted_sum;
}

}  // namespace fastseq
