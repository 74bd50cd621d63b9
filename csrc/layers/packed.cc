#include "layers/packed.h"

namespace fastseq {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

template <typename RowOf>
PackedMatrix PackedMatrix::pack(const KernelTable& table, const float* weight, int vectors, int64_t panel_count,
                                int64_t in_features, const RowOf& row_of) {
  PackedMatrix packed;
  packed.vectors_ = vectors;
  packed.lanes_ = table.lanes;
  packed.panel_count_ = panel_count;
  packed.in_features_ = in_features;
  const int64_t width = packed.width();
  packed.data_ = Buffer<float>(panel_count * in_features * width);
  for (int64_t panel = 0; panel < panel_count; ++panel) {
    for (int64_t column = 0; column < width; ++column) {
      float* to = packed.data_.data() + panel * in_features * width + column;
      const int64_t row = row_of(panel, column / table.lanes, column % table.lanes);
      const float* from = weight + row * in_features;
      for (int64_t k = 0; k < in_features; ++k) to[k * width] = row >= 0 ? from[k] : 0.0f;
    }
  }
  return packed;
}

PackedMatrix PackedMatrix::dense(const KernelTable& table, const float* weight, int64_t out_features,
                                 int64_t in_features) {
  const int64_t lanes = table.lanes, width = table.matmul_vectors * lanes;
  return pack(table, weight, table.matmul_vectors, ceil_div(out_features, width), in_features,
              [=](int64_t panel, int64_t vector, int64_t lane) {
                const int64_t row = panel * width + vector * lanes + lane;
                return row < out_features ? row : -1;
              });
}

PackedMatrix PackedMatrix::gated(const KernelTable& table, const float* weight, int gates, int64_t hidden_size,
                                 int64_t in_features) {
  const int64_t lanes = table.lanes;
  return pack(table, weight, gates, ceil_div(hidden_size, lanes), in_features,
              [=](int64_t panel, int64_t gate, int64_t lane) {
                const int64_t unit = panel * lanes + lane;
                return unit < hidden_size ? gate * hidden_size + unit : -1;
              });
}

void PackedMatrix::unpack_row(int64_t row, float* output) const {
  const float* from = data_.data() + row / width() * in_features_ * width() + row % width();
  for (int64_t k = 0; k < in_features_; ++k) output[k] = from[k * width()];
}

Buffer<float> pack_gated_bias(const KernelTable& table, const float* a, const float* b, int gates,
                              int64_t hidden_size) {
  const int64_t panel_count = ceil_div(hidden_size, table.lanes);
  auto packed = Buffer<float>::zeros(panel_count * gates * table.lanes);
  for (int64_t unit = 0; unit < hidden_size; ++unit) {
    for (int g = 0; g < gates; ++g) {
      const int64_t from = g * hidden_size + unit;
      const int64_t to = (unit / table.lanes * gates + g) * table.lanes + unit % table.lanes;
      packed[to] = (a != nullptr ? a[from] : 0.0f) + (b != nullptr ? b[from] : 0.0f);
    }
  }
  return packed;
}

}  // namespace fastseq
