#include "layers/packed.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace fastseq {
namespace {

// 127 * 127 * this is the largest sum below 2^31.
constexpr int64_t kMostInt8Inputs = 133144;

}  // namespace

QuantizedRows::QuantizedRows(const KernelTable& table, int64_t rows, int64_t size)
    : size_(size),
      stride_(ceil_div(size, 16) * 16 * table.int8_input_bytes),
      values_(rows * stride_),
      scales_(rows),
      sums_(rows) {}

void QuantizedRows::fill(const KernelTable& table, const float* input, int64_t input_stride, int64_t begin,
                         int64_t end) {
  QuantizeArgs args;
  args.input = input + begin * input_stride;
  args.rows = end - begin;
  args.size = size_;
  args.input_stride = input_stride;
  args.output = values_.data() + begin * stride_;
  args.output_stride = stride_;
  args.scales = scales_.data() + begin;
  args.sums = sums_.data() + begin;
  table.quantize_inputs(args);
}

int64_t PackedMatrix::groups() const {
  return ceil_div(in_features_, compute_type_ == ComputeType::kFloat32 ? 1
                                : compute_type_ == ComputeType::kInt8  ? 4
                                                                       : 2);
}

/// Sizes for `outputs` outputs in panels of `vectors` vectors.
PackedMatrix::PackedMatrix(const KernelTable& table, int vectors, int64_t outputs, int64_t in_features,
                           ComputeType compute_type)
    : compute_type_(compute_type),
      vectors_(vectors),
      lanes_(table.lanes),
      panel_count_(ceil_div(outputs, vectors * static_cast<int64_t>(table.lanes))),
      in_features_(in_features) {
  if (compute_type == ComputeType::kInt8 && in_features > kMostInt8Inputs) {
    throw std::invalid_argument("a layer has " + std::to_string(in_features) + " inputs; int8 takes at most " +
                                std::to_string(kMostInt8Inputs));
  }
}

void PackedMatrix::multiply(const KernelTable& table, const MatmulArgs& args, const QuantizedRows& quantized,
                            int64_t first_row, bool accumulate) const {
  MatmulArgs common = args;
  common.vectors = vectors_;
  common.in_features = in_features_;
  if (compute_type_ == ComputeType::kFloat32) {
    common.panels = panels();
    table.matmul(common);
  } else if (compute_type_ == ComputeType::kBfloat16) {
    MatmulBf16Args narrow;
    narrow.common = common;
    narrow.panels = pairs_.data();
    narrow.accumulate = accumulate;
    table.matmul_bf16(narrow);
  } else {
    MatmulInt8Args narrow;
    narrow.common = common;
    narrow.common.input_stride = quantized.stride();
    narrow.input = quantized.row(first_row);
    narrow.input_scales = quantized.scales() + first_row;
    narrow.input_sums = quantized.sums() + first_row;
    narrow.panels = bytes_.data();
    narrow.weight_scales = scales_.data();
    narrow.weight_sums = weight_sums_.data();
    narrow.accumulate = accumulate;
    table.matmul_int8(narrow);
  }
}

void PackedMatrix::unpack_row(int64_t row, float* output) const {
  const int64_t panel = row / width(), column = row % width();
  const auto place = [&](int64_t k, int64_t together) {  // of group k / together
    return (panel * ceil_div(in_features_, together) + k / together) * width() + column;
  };
  for (int64_t k = 0; k < in_features_; ++k) {
    switch (compute_type_) {
      case ComputeType::kFloat32:
        output[k] = data_[place(k, 1)];
        break;
      case ComputeType::kBfloat16: {
        const uint32_t pair = pairs_[place(k, 2)], bits = k % 2 == 0 ? pair << 16 : pair & 0xffff0000u;
        std::memcpy(output + k, &bits, sizeof bits);
        break;
      }
      case ComputeType::kInt8:
        output[k] = static_cast<float>(bytes_[place(k, 4) * 4 + k % 4]) * scales_[row];
        break;
    }
  }
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
