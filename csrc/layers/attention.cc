#include "layers/attention.h"

#include <algorithm>

#include "runtime/buffer.h"
#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Multiply-adds below which a share of the work is not worth a thread.
constexpr int64_t kMinimumShare = 1 << 20;
// Queries of a share where there are fewer heads than threads: each share packs the keys for itself, which this
// many queries pay for.
constexpr int64_t kQueryBlock = 192;

}  // namespace

void scaled_dot_product_attention(const AttentionShape& shape, const float* query, const float* key, const float* value,
                                  const AttentionMask& mask, bool is_causal, float scale, float* output) {
  const KernelTable& table = kernels();
  const int64_t heads = shape.query_heads, group = shape.key_heads > 0 ? heads / shape.key_heads : 1;
  const bool split = shape.batch_size * heads < num_threads();
  const int64_t share = std::max<int64_t>(1, split ? std::min(shape.queries, kQueryBlock) : shape.queries);
  const int64_t blocks = (shape.queries + share - 1) / share;
  const int64_t block_work = std::max<int64_t>(1, share * shape.keys * (shape.head_size + shape.value_size));
  parallel_for(shape.batch_size * heads * blocks, kMinimumShare / block_work + 1, [&](int64_t begin, int64_t end) {
    Buffer<float> scratch(attention_scratch_size(shape.keys, shape.head_size, shape.value_size));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / blocks,
                    first = i % blocks * share;  // (batch, head) and its first query
      const int64_t b = head / heads, h = head % heads, key_head = b * shape.key_heads + h / group;
      const int64_t mask_offset = b * mask.batch_stride + h * mask.head_stride + first * mask.query_stride;
      AttentionArgs args;
      args.queries = std::min(share, shape.queries - first);
      args.keys = shape.keys;
      args.head_size = args.query_stride = args.key_stride = shape.head_size;
      args.value_size = args.value_stride = args.output_stride = shape.value_size;
      args.query = query + (head * shape.queries + first) * shape.head_size;
      args.key = key + key_head * shape.keys * shape.head_size;
      args.value = value + key_head * shape.keys * shape.value_size;
      args.output = output + (head * shape.queries + first) * shape.value_size;
      args.scale = scale;
      args.is_causal = is_causal;
      args.causal_offset = first;
      args.mask = mask.keep != nullptr ? mask.keep + mask_offset : nullptr;
      args.add = mask.add != nullptr ? mask.add + mask_offset : nullptr;
      args.mask_query_stride = mask.query_stride;
      args.mask_key_stride = mask.key_stride;
      args.scratch = scratch.data();
      table.attention(args);
    }
  });
}

void score_attention(int64_t batch_size, int64_t queries, int64_t keys, int64_t size, int64_t value_size,
                     const float* query, const float* key, const float* value, const float* weight_score,
                     const int64_t* lengths, float* context, float* weights) {
  const KernelTable& table = kernels();
  const int64_t row_work = std::max<int64_t>(1, keys * (size + value_size));
  parallel_for(batch_size * queries, kMinimumShare / row_work + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / queries, length = lengths != nullptr ? lengths[b] : keys;
      const float* memory = key + b * keys * size;
      float* row = weights + i * keys;
      if (weight_score != nullptr) {
        table.additive_scores(query + i * size, memory, size, length, weight_score, size, row);
      } else {
        table.dot_scores(query + i * size, memory, size, length, size, row);
      }
      table.softmax(row, 1, length, row);
      std::fill(row + length, row + keys, 0.0f);
      table.weighted_sum(row, value + b * keys * value_size, value_size, length, value_size, context + i * value_size);
    }
  });
}

}  // namespace fastseq
