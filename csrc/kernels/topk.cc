// The k best log-probabilities of each row, without writing the others down.
//
// One pass finds the maximum and the k largest, a second sums the exponentials. The first compares whole vectors
// with the worst of the k kept so far, so that after a short start hardly any element is looked at alone.
#include "kernels/register.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

/// The k best entries of a row so far, as a heap with the worst at its root.
struct Best {
  float* value;    // (k)
  int64_t* index;  // (k)
  int64_t size;

  /// Whether entry a is worse than b: smaller, or equal and later in the row.
  bool worse(int64_t a, int64_t b) const {
    return value[a] < value[b] || (value[a] == value[b] && index[a] > index[b]);
  }
  void swap(int64_t a, int64_t b) {
    const float v = value[a];
    const int64_t i = index[a];
    value[a] = value[b], index[a] = index[b];
    value[b] = v, index[b] = i;
  }
  void sift_down(int64_t root, int64_t end) {
    for (int64_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && worse(child + 1, child)) ++child;
      if (!worse(child, root)) return;
      swap(root, child);
    }
  }
  void replace_worst(float v, int64_t i) {
    value[0] = v;
    index[0] = i;
    sift_down(0, size);
  }
  void heapify() {
    for (int64_t root = size / 2 - 1; root >= 0; --root) sift_down(root, size);
  }
  /// Best first; the heap is gone.
  void sort() {
    for (int64_t end = size - 1; end > 0; --end) {
      swap(0, end);
      sift_down(0, end);
    }
  }
};

void topk_row(const float* row, int64_t size, int64_t k, float add, float* values, int64_t* indices) {
  Best best{values, indices, k};
  for (int64_t i = 0; i < k; ++i) {
    values[i] = row[i];
    indices[i] = i;
  }
  best.heapify();
  V16 largest = broadcast16(-kInfinity);
  // Vectors are looked at from the one that holds element k; those before it are all among the first k.
  for (int64_t i = 0; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, -kInfinity);
    uint32_t above = 0;
    for (int p = 0; p < kParts; ++p) {
      largest.part[p] = max(x.part[p], largest.part[p]);
      above |= bits(greater(x.part[p], broadcast(values[0]))) << (p * kLanes);
    }
    if (above == 0 || i + kVirtualLanes <= k) continue;
    for (int j = 0; j < kVirtualLanes; ++j) {
      const int64_t at = i + j;
      // Greater only: of equal values the earlier one, which is kept already, comes first.
      if ((above >> j & 1) != 0 && at >= k && row[at] > values[0]) best.replace_worst(row[at], at);
    }
  }
  best.sort();
  const float shift = reduce_max(largest);
  const float log_sum_exp = shift + log1(row_sum_exp(row, size, shift, nullptr));
  for (int64_t i = 0; i < k; ++i) values[i] = (values[i] - log_sum_exp) + add;
}

void log_softmax_topk(const float* logits, int64_t rows, int64_t vocab_size, int64_t stride, int64_t k,
                      const float* add, float* values, int64_t* indices) {
  if (k == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    topk_row(logits + r * stride, vocab_size, k, add != nullptr ? add[r] : 0.0f, values + r * k, indices + r * k);
  }
}

}  // namespace

FASTSEQ_REGISTER(topk) { table.log_softmax_topk = log_softmax_topk; }

}  // namespace fastseq
