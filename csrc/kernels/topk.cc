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

/// Offers to `best` what exceeds its worst among `count` (at most 16) entries from `begin` on.
void offer(Best& best, const float* row, int64_t begin, int64_t count) {
  const V16 x = load16_row(row + begin, count, -kInfinity);
  uint32_t above = 0;
  for (int p = 0; p < kParts; ++p) above |= bits(greater(x.part[p], broadcast(best.value[0]))) << (p * kLanes);
  for (int64_t i = begin; above != 0; ++i, above >>= 1) {
    // Greater only: of equal values the earlier one, which is kept already, comes first. The first k are kept.
    if ((above & 1) != 0 && i >= best.size && row[i] > best.value[0]) best.replace_worst(row[i], i);
  }
}

/// Keeps the k best in `best` and returns the maximum of the row. NaN is passed over, or hides its neighbours:
/// it makes all values NaN in the end.
float find_best(const float* row, int64_t size, Best& best) {
  for (int64_t i = 0; i < best.size; ++i) {
    best.value[i] = row[i];
    best.index[i] = i;
  }
  best.heapify();
  constexpr int64_t kGroup = 4;  // vectors looked at together
  V16 largest = broadcast16(-kInfinity);
  int64_t i = 0;
  for (; i + kGroup * kVirtualLanes <= size; i += kGroup * kVirtualLanes) {
    const F32 worst = broadcast(best.value[0]);
    uint32_t above = 0;
    for (int p = 0; p < kParts; ++p) {
      const float* x = row + i + p * kLanes;
      const F32 first = max(load(x), load(x + kVirtualLanes));
      const F32 second = max(load(x + 2 * kVirtualLanes), load(x + 3 * kVirtualLanes));
      const F32 group = max(first, second);
      largest.part[p] = max(group, largest.part[p]);
      above |= bits(greater(group, worst));
    }
    if (above == 0) continue;
    for (int64_t g = 0; g < kGroup; ++g) offer(best, row, i + g * kVirtualLanes, kVirtualLanes);
  }
  for (; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, -kInfinity);
    for (int p = 0; p < kParts; ++p) largest.part[p] = max(x.part[p], largest.part[p]);
    offer(best, row, i, size - i);
  }
  return reduce_max(largest);
}

/// values = ((x - max) - log(sum e^(x - max))) + add, as log_softmax computes it; `normalizer` gets max and the log.
void topk_row(const float* row, int64_t size, int64_t k, float add, float* values, int64_t* indices,
              float* normalizer) {
  Best best{values, indices, k};
  const float largest = find_best(row, size, best);
  best.sort();
  const float log_sum = log1(row_sum_exp(row, size, largest, nullptr));
  for (int64_t i = 0; i < k; ++i) values[i] = ((values[i] - largest) - log_sum) + add;
  if (normalizer != nullptr) normalizer[0] = largest, normalizer[1] = log_sum;
}

void log_softmax_topk(const float* logits, int64_t rows, int64_t vocab_size, int64_t stride, int64_t k,
                      const float* add, float* values, int64_t* indices, float* normalizers) {
  if (k == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    topk_row(logits + r * stride, vocab_size, k, add != nullptr ? add[r] : 0.0f, values + r * k, indices + r * k,
             normalizers != nullptr ? normalizers + 2 * r : nullptr);
  }
}

}  // namespace

FASTSEQ_REGISTER(topk) { table.log_softmax_topk = log_softmax_topk; }

}  // namespace fastseq
