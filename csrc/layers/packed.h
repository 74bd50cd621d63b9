// A weight in the layout its instruction set streams best: panels of whole vectors, k-major.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "layers/weight.h"
#include "runtime/buffer.h"

namespace fastseq {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Rows of an input as the kernels of an int8 weight read them.
class QuantizedRows {
 public:
  QuantizedRows() = default;
  QuantizedRows(const KernelTable& table, int64_t rows, int64_t size);

  /// Quantises rows [begin, end) of an input (rows, size).
  void fill(const KernelTable& table, const float* input, int64_t input_stride, int64_t begin, int64_t end);

  const int8_t* row(int64_t i) const { return values_.data() + i * stride_; }
  const float* scales() const { return scales_.data(); }
  const int32_t* sums() const { return sums_.data(); }
  int64_t stride() const { return stride_; }

 private:
  int64_t size_ = 0, stride_ = 0;
  Buffer<int8_t> values_;  // (rows, stride)
  Buffer<float> scales_;   // (rows)
  Buffer<int32_t> sums_;   // (rows)
};

/// weight (out_features, in_features) packed once, for all row counts (layouts: kernels/args.h).
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Outputs in their own order: vector v of panel p holds rows (p * vectors + v) * lanes and on.
  /// A weight that is packed so already is not copied. std::invalid_argument where int8 sums of so many products could
  /// overflow, or a weight is packed in another way.
  static PackedMatrix dense(const KernelTable& table, const WeightView& weight, int64_t out_features,
                            int64_t in_features, ComputeType compute_type = ComputeType::kFloat32);
  /// `gates` blocks of `hidden_size` rows, interleaved: vector g of panel p holds units p * lanes and on of gate g.
  static PackedMatrix gated(const KernelTable& table, const WeightView& weight, int gates, int64_t hidden_size,
                            int64_t in_features, ComputeType compute_type = ComputeType::kFloat32);

  /// One row of what `dense` has packed, as floats: output (in_features).
  void unpack_row(int64_t row, float* output) const;

  ComputeType compute_type() const { return compute_type_; }
  bool quantized() const { return compute_type_ == ComputeType::kInt8; }
  const float* panels() const { return data_.data(); }  // float32 only
  int vectors() const { return vectors_; }
  int64_t width() const { return vectors_ * static_cast<int64_t>(lanes_); }  // outputs in a panel
  int64_t panel_count() const { return panel_count_; }
  int64_t in_features() const { return in_features_; }

  /// The product with some rows: `args` without what is the weight's. `quantized` holds args.input and more, from row
  /// `first_row` on; it is read for int8 only. `accumulate` (not for float32) starts from what is in the output.
  void multiply(const KernelTable& table, const MatmulArgs& args, const QuantizedRows& quantized, int64_t first_row,
                bool accumulate = false) const;

 private:
  PackedMatrix(const KernelTable& table, int vectors, int64_t outputs, int64_t in_features, ComputeType compute_type);
  /// Takes `rows` rows of a weight, packed already or not, and notes where they lie. `row_of(panel, vector, lane)` is
  /// the row of the weight that goes there, -1 for none.
  template <typename RowOf>
  void fill(const KernelTable& table, const WeightView& weight, int64_t gates, int64_t rows, const RowOf& row_of);
  bool borrow(const WeightView& weight, const PackedRows& wanted);
  template <typename RowOf>
  void pack(const KernelTable& table, const WeightView& weight, const RowOf& row_of);
  struct Rows;  // of one panel, on the way into it
  void pack_panel(const KernelTable& table, const WeightView& weight, int64_t panel, Rows& rows);
  int64_t outputs() const { return panel_count_ * width(); }
  int64_t groups() const;  // of inputs that lie side by side: one float, two bfloat16 or four int8 numbers
  void describe(PackedRows& packed) const;

  ComputeType compute_type_ = ComputeType::kFloat32;
  Buffer<float> data_;           // float32: (panel_count, in_features, width)
  Buffer<uint32_t> pairs_;       // bfloat16: (panel_count, (in_features + 1) / 2, width)
  Buffer<int8_t> bytes_;         // int8: (panel_count, (in_features + 3) / 4, width, 4)
  Buffer<float> scales_;         // int8: (panel_count * width)
  Buffer<int32_t> weight_sums_;  // int8: (panel_count * width)
  int vectors_ = 0;
  int lanes_ = 0;
  int64_t panel_count_ = 0;
  int64_t in_features_ = 0;
};

/// A bias in the order of the packed outputs, zero beyond them; sum of both where b is given.
Buffer<float> pack_gated_bias(const KernelTable& table, const float* a, const float* b, int gates, int64_t hidden_size);

}  // namespace fastseq
