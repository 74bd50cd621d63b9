// A weight in the layout its instruction set streams best: panels of whole vectors, k-major.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "runtime/buffer.h"

namespace fastseq {

/// weight (out_features, in_features) packed once, for all row counts (layout: MatmulArgs in kernels/args.h).
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Outputs in their own order: vector v of panel p holds rows (p * vectors + v) * lanes and on.
  static PackedMatrix dense(const KernelTable& table, const float* weight, int64_t out_features, int64_t in_features);
  /// `gates` blocks of `hidden_size` rows, interleaved: vector g of panel p holds units p * lanes and on of gate g.
  static PackedMatrix gated(const KernelTable& table, const float* weight, int gates, int64_t hidden_size,
                            int64_t in_features);

  /// One row of what `dense` has packed: output (in_features).
  void unpack_row(int64_t row, float* output) const;

  const float* panels() const { return data_.data(); }
  int vectors() const { return vectors_; }
  int64_t width() const { return vectors_ * static_cast<int64_t>(lanes_); }  // outputs in a panel
  int64_t panel_count() const { return panel_count_; }
  int64_t in_features() const { return in_features_; }

 private:
  /// `row_of(panel, vector, lane)` is the row of the weight that goes there, -1 for none.
  template <typename RowOf>
  static PackedMatrix pack(const KernelTable& table, const float* weight, int vectors, int64_t panel_count,
                           int64_t in_features, const RowOf& row_of);

  Buffer<float> data_;  // (panel_count, in_features, vectors * lanes)
  int vectors_ = 0;
  int lanes_ = 0;
  int64_t panel_count_ = 0;
  int64_t in_features_ = 0;
};

/// A bias in the order of the packed outputs, zero beyond them; sum of both where b is given.
Buffer<float> pack_gated_bias(const KernelTable& table, const float* a, const float* b, int gates, int64_t hidden_size);

}  // namespace fastseq
