#include "layers/relative_attention.h"

#include <algorithm>

namespace fastseq {
namespace {

// Queries whose scores of all keys are there at once.
constexpr int64_t kQueries = 128;
// Queries or keys that are multiplied with the vectors of their distances together. Few, because a product is needed
// only for the distances that one row has: of n rows and m distances each, n + m - 1 vectors are multiplied.
constexpr int64_t kRows = 16;

}  // namespace

DistanceRows::DistanceRows(const std::vector<int64_t>& rows, int64_t longest) : middle_(longest - 1) {
  if (rows.empty() || longest < 1) return;
  const auto most = static_cast<int64_t>(rows.size() / 2);
  rows_ = Buffer<int32_t>(2 * middle_ + 1);
  for (int64_t distance = -middle_; distance <= middle_; ++distance) {
    const int64_t known = std::clamp(distance, -most, most) + most;
    rows_[middle_ + distance] = static_cast<int32_t>(rows[static_cast<std::size_t>(known)]);
  }
}

DistanceVectors::DistanceVectors(const WeightView& vectors, int64_t heads, int64_t count, int64_t head_size)
    : kernels_(&kernels()), count_(count) {
  for (int64_t head = 0; head < heads; ++head) {
    heads_.push_back(PackedMatrix::dense(*kernels_, vectors.from_row(head * count, head_size), count, head_size));
  }
}

void DistanceVectors::multiply(int64_t head, const float* input, int64_t input_stride, int64_t rows, int64_t first,
                               int64_t last, float* products, int64_t stride) const {
  const PackedMatrix& vectors = heads_[static_cast<std::size_t>(head)];
  MatmulArgs args;
  args.input = input;
  args.input_stride = input_stride;
  args.rows = rows;
  args.out_features = count_;
  args.panel_begin = first / vectors.width();
  args.panel_end = last / vectors.width() + 1;
  args.output = products;
  args.output_stride = stride;
  vectors.multiply(*kernels_, args, {}, 0);
}

// A line more than V: rows whose beginnings are a power of two apart would fall on the same lines of the cache.
int64_t RelativeAttention::product_stride() const { return ceil_div(count, 16) * 16 + 16; }

int64_t RelativeAttention::scratch_size(int64_t keys) const { return kQueries * keys + kRows * product_stride(); }

/// scores (queries, keys) of the queries of `args`, the first of which is at first_query: all but q . k.
void RelativeAttention::add_scores(const AttentionArgs& args, int64_t first_query, int64_t head,
                                   const DistanceRows& rows, float* products, float* scores) const {
  const int64_t stride = product_stride(), last_query = first_query + args.queries - 1;
  const float scale = args.scale;
  if (queries.empty()) std::fill_n(scores, args.queries * args.keys, 0.0f);
  for (int64_t key = 0; key < args.keys && !queries.empty(); key += kRows) {
    const int64_t count = std::min(kRows, args.keys - key);
    queries.multiply(head, args.key + key * args.key_stride, args.key_stride, count, *rows.from(key - last_query),
                     *rows.from(key + count - 1 - first_query), products, stride);
    for (int64_t i = 0; i < args.queries; ++i) {
      const int32_t* row = rows.from(key - first_query - i);
      float* to = scores + i * args.keys + key;
      for (int64_t j = 0; j < count; ++j) to[j] = scale * products[j * stride + row[j]];
    }
  }
  for (int64_t query = 0; query < args.queries && !keys.empty(); query += kRows) {
    const int64_t count = std::min(kRows, args.queries - query), first = first_query + query;
    keys.multiply(head, args.query + query * args.query_stride, args.query_stride, count, *rows.from(1 - first - count),
                  *rows.from(args.keys - 1 - first), products, stride);
    for (int64_t i = 0; i < count; ++i) {
      const int32_t* row = rows.from(-first - i);
      const float* product = products + i * stride;
      float* to = scores + (query + i) * args.keys;
      for (int64_t j = 0; j < args.keys; ++j) to[j] += scale * product[row[j]];
    }
  }
}

void RelativeAttention::attend(const AttentionArgs& args, int64_t head, const DistanceRows& rows) const {
  float* scores = args.scratch + attention_scratch_size(args.keys, args.head_size, args.value_size);
  float* products = scores + kQueries * args.keys;
  for (int64_t first = 0; first < args.queries; first += kQueries) {
    AttentionArgs block = args;
    block.queries = std::min(kQueries, args.queries - first);
    block.query += first * args.query_stride;
    block.output += first * args.output_stride;
    block.causal_offset += first;
    add_scores(block, first, head, rows, products, scores);
    block.add = scores;
    block.mask_query_stride = args.keys;
    block.mask_key_stride = 1;
    kernels().attention(block);
  }
}

}  // namespace fastseq
