// The k best log-probabilities of each row, without writing the others down.
//
// A first pass finds the largest element of each of 64 columns. The k-th largest of these is no larger than the k-th
// best of the row: the second pass, which sums the exponentials, compares groups of 64 elements with it, and looks at
// hardly any element alone that is not one of the k. While a row is computed the next is fetched.
#include "kernels/register.h"
#include "simd/rows.h"

namespace fastseq {
namespace {

/// The k best entries of a row so far; once there are k, a heap with the worst at its root.
struct Best {
  float* value;    // (k)
  int64_t* index;  // (k)
  int64_t capacity;
  float bar;  // only what is larger is worth offering
  int64_t size = 0;

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
  /// Takes an entry that comes after all others: until there are k, or instead of the worst if it is larger.
  void offer(float v, int64_t i) {
    if (size < capacity) {
      value[size] = v;
      index[size] = i;
      if (++size < capacity) return;
      for (int64_t root = size / 2 - 1; root >= 0; --root) sift_down(root, size);
    } else if (v > value[0]) {
      value[0] = v;
      index[0] = i;
      sift_down(0, size);
    } else {
      return;
    }
    bar = value[0];
  }
  /// Best first; the heap is gone.
  void sort() {
    for (int64_t end = size - 1; end > 0; --end) {
      swap(0, end);
      sift_down(0, end);
    }
  }
};

/// The largest float below x; -inf for itself, and for the smallest.
float next_below(float x) {
  if (x == 0.0f) return -1.40129846e-45f;  // the smallest there is
  if (!(x > -kInfinity)) return x;
  int32_t pattern;
  std::memcpy(&pattern, &x, sizeof pattern);
  pattern += x > 0.0f ? -1 : 1;
  std::memcpy(&x, &pattern, sizeof x);
  return x;
}

constexpr int64_t kColumns = 4 * kVirtualLanes;

/// Offers what is above the bar among `count` (at most 16) entries from `begin` on.
void offer_above(Best& best, const float* row, int64_t begin, int64_t count) {
  const V16 x = load16_row(row + begin, count, -kInfinity);
  uint32_t above = 0;
  for (int p = 0; p < kParts; ++p) above |= bits(greater(x.part[p], broadcast(best.bar))) << (p * kLanes);
  for (int64_t i = begin; above != 0; ++i, above >>= 1) {
    if ((above & 1) != 0) best.offer(row[i], i);
  }
}

/// Returns the maximum of the row, and in `bar` a number below the k-th best: -inf, or just below the k-th largest
/// of the columns' maxima. NaN is passed over: it makes all values NaN in the end.
float find_bar(const float* row, int64_t size, int64_t k, float* bar) {
  V16 column[4];
  for (V16& c : column) c = broadcast16(-kInfinity);
  int64_t i = 0;
  for (; i + kColumns <= size; i += kColumns) {
    for (int c = 0; c < 4; ++c) {
      for (int p = 0; p < kParts; ++p) {
        column[c].part[p] = max(load(row + i + c * kVirtualLanes + p * kLanes), column[c].part[p]);
      }
    }
  }
  float maxima[kColumns], kept[kColumns];
  int64_t indices[kColumns];
  for (int c = 0; c < 4; ++c) store16(maxima + c * kVirtualLanes, column[c]);
  for (; i < size; ++i) {
    if (row[i] > maxima[i % kColumns]) maxima[i % kColumns] = row[i];
  }
  float largest = -kInfinity;
  for (const float m : maxima) largest = m > largest ? m : largest;
  *bar = -kInfinity;
  if (k > kColumns) return largest;
  Best best{kept, indices, k, -kInfinity};
  for (int64_t c = 0; c < kColumns; ++c) best.offer(maxima[c], c);
  // Elements that equal it have to stay above.
  *bar = next_below(best.value[0]);
  return largest;
}

/// log(sum e^(x - largest)), as row_log_sum computes it, while `best` is offered what is above its bar.
float sum_and_select(const float* row, int64_t size, float largest, Best& best) {
  const F32 shift = broadcast(largest);
  V16 sum = broadcast16(0.0f);
  int64_t i = 0;
  for (; i + kColumns <= size; i += kColumns) {
    F32 top = broadcast(-kInfinity);
    for (int c = 0; c < 4; ++c) {
      prefetch(row + size + i + c * kVirtualLanes);
      for (int p = 0; p < kParts; ++p) {
        const F32 x = load(row + i + c * kVirtualLanes + p * kLanes);
        top = max(x, top);
        sum.part[p] = add_exp(x, shift, sum.part[p]);
      }
    }
    if (bits(greater(top, broadcast(best.bar))) == 0) continue;
    for (int c = 0; c < 4; ++c) offer_above(best, row, i + c * kVirtualLanes, kVirtualLanes);
  }
  for (; i < size; i += kVirtualLanes) {
    const V16 x = load16_row(row + i, size - i, -kInfinity);
    for (int p = 0; p < kParts; ++p) sum.part[p] = add_exp(x.part[p], shift, sum.part[p]);
    offer_above(best, row, i, size - i);
  }
  return log1(reduce_add(sum));
}

/// Fills up with entries that are above no bar, -inf and NaN, the first ones first.
void fill(Best& best, const float* row) {
  for (int64_t i = 0; best.size < best.capacity; ++i) {
    if (!(row[i] > -kInfinity)) best.offer(row[i], i);
  }
}

/// values = ((x - max) - log(sum e^(x - max))) + add, as log_softmax computes it; `normalizer` gets max and the log.
void topk_row(const float* row, int64_t size, int64_t k, float add, float* values, int64_t* indices,
              float* normalizer) {
  float bar;
  const float largest = find_bar(row, size, k, &bar);
  Best best{values, indices, k, bar};
  const float log_sum = sum_and_select(row, size, largest, best);
  fill(best, row);
  best.sort();
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
