// Attention whose scores depend on how far a key is from the query, and on what both say about that distance.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "layers/packed.h"

namespace fastseq {

/// Which of V vectors stands for a distance key - query, for the sequences of one batch.
class DistanceRows {
 public:
  DistanceRows() = default;
  /// `rows` are of the distances -M to M, and of what is farther as at the ends; they never decrease.
  DistanceRows(const std::vector<int64_t>& rows, int64_t longest);
  /// Of the distances from `distance` on.
  const int32_t* from(int64_t distance) const { return rows_.data() + middle_ + distance; }

 private:
  Buffer<int32_t> rows_;  // (2 * longest - 1), by distance, 0 in the middle
  int64_t middle_ = 0;
};

/// V vectors for each head, (heads * V, head_size). They are always float32, as all that lies between dense layers.
class DistanceVectors {
 public:
  DistanceVectors() = default;
  DistanceVectors(const WeightView& vectors, int64_t heads, int64_t count, int64_t head_size);
  bool empty() const { return heads_.empty(); }
  /// products[i * stride + v] = input row i . vector v of a head, for v from `first` to `last` and perhaps some more.
  void multiply(int64_t head, const float* input, int64_t input_stride, int64_t rows, int64_t first, int64_t last,
                float* products, int64_t stride) const;

 private:
  const KernelTable* kernels_ = nullptr;  // the set the vectors were packed for
  std::vector<PackedMatrix> heads_;
  int64_t count_ = 0;
};

/// Disentangled attention (He et al., 2021): with vectors K and Q for distances
///   score(i, j) = scale * (q_i . k_j + q_i . K(j - i) + Q(j - i) . k_j).
struct RelativeAttention {
  DistanceVectors keys, queries;  // K and Q; without one its term is left out
  int64_t count = 0;              // V

  bool empty() const { return keys.empty() && queries.empty(); }
  /// Floats that `attend` needs beside what the kernel does: they grow with the keys, not with queries times keys.
  int64_t scratch_size(int64_t keys) const;
  /// Attention of all queries of one head; `args` without an addend, and with room for both in args.scratch, the
  /// kernel's first.
  void attend(const AttentionArgs& args, int64_t head, const DistanceRows& rows) const;

 private:
  void add_scores(const AttentionArgs& args, int64_t first_query, int64_t head, const DistanceRows& rows,
                  float* products, float* scores) const;
  int64_t product_stride() const;
};

}  // namespace fastseq
