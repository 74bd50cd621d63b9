// Attention of one query row in a decoding step: every head against keys that lie in rows of a cache.
//
// The keys need not lie next to each other: `index` names the row of each, so that hypotheses which share a past
// share its cache and beam search copies nothing. A score is a dot product in sixteen virtual lanes.
#include "kernels/register.h"
#include "kernels/weighted_sum.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

void decode_attention(const DecodeAttentionArgs& args) {
  const auto row = [&](const float* base, int64_t t) {
    return base + (args.index != nullptr ? args.index[t] : t) * args.stride;
  };
  const int64_t size = args.head_size;
  for (int64_t head = 0; head < args.heads; ++head) {
    const float* query = args.query + head * size;
    const float* keys = args.keys + head * size;
    const float* values = args.values + head * size;
    for (int64_t t = 0; t < args.count; ++t) args.scores[t] = row_dot(query, row(keys, t), size) * args.scale;
    if (args.bias != nullptr) {
      const float* bias = args.bias + head * args.bias_stride;
      for (int64_t t = 0; t < args.count; ++t) args.scores[t] += bias[t];
    }
    const float sum = row_sum_exp(args.scores, args.count, row_max(args.scores, args.count), args.scores);
    const float norm = 1.0f / sum;
    for (int64_t t = 0; t < args.count; ++t) args.scores[t] *= norm;
    weighted_rows(
        args.scores, args.count, size, [&](int64_t t) { return row(values, t); }, args.output + head * size);
    if (args.mean_weights != nullptr) {
      const float share = 1.0f / static_cast<float>(args.heads);
      for (int64_t t = 0; t < args.count; ++t) args.mean_weights[t] += args.scores[t] * share;
    }
  }
}

}  // namespace

FASTSEQ_REGISTER(decode_attention) { table.decode_attention = decode_attention; }

}  // namespace fastseq
