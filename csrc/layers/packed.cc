#include "layers/packed.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace fastseq {
namespace {

// 127 * 127 * this is the largest sum below 2^31.
constexpr int64_t kMostInt8Inputs = 133144;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

void PackedMatrix::put_float(const float* row, int64_t panel, int64_t column) {
  float* to = data_.data() + panel * in_features_ * width() + column;
  for (int64_t k = 0; k < in_features_; ++k) to[k * width()] = row != nullptr ? row[k] : 0.0f;
}

void PackedMatrix::put_bfloat16(const WeightView& weight, int64_t row, int64_t panel, int64_t column, float* scratch) {
  const int64_t count = ceil_div(in_features_, 2);
  uint32_t* to = pairs_.data() + panel * count * width() + column;
  const float* values = row >= 0 && weight.halves() == nullptr ? weight.row(row, in_features_, scratch) : nullptr;
  const auto half = [&](int64_t k) -> uint32_t {
    if (row < 0 || k >= in_features_) return 0;
    return values != nullptr ? to_bfloat16(values[k]) : weight.halves()[row * in_features_ + k];
  };
  for (int64_t k = 0; k < count; ++k) to[k * width()] = half(2 * k) | half(2 * k + 1) << 16;
}

void PackedMatrix::put_int8(const KernelTable& table, const WeightView& weight, int64_t row, int64_t panel,
                            int64_t column, float* scratch, int8_t* bytes) {
  const int64_t count = ceil_div(in_features_, 4), output = panel * width() + column;
  float scale = 0.0f;
  if (row < 0) {
    std::memset(bytes, 0, static_cast<std::size_t>(count * 4));
  } else if (weight.bytes() != nullptr) {
    std::memcpy(bytes, weight.bytes() + row * in_features_, static_cast<std::size_t>(in_features_));
    scale = weight.scales()[row];
  } else {
    QuantizeArgs args;
    args.input = weight.row(row, in_features_, scratch);
    args.rows = 1;
    args.size = in_features_;
    args.output = bytes;
    args.scales = &scale;
    table.quantize_rows(args);
  }
  int8_t* to = bytes_.data() + (panel * count * width() + column) * 4;
  int32_t sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    std::memcpy(to + k * width() * 4, bytes + k * 4, 4);
    for (int64_t j = 0; j < 4; ++j) sum += bytes[k * 4 + j];
  }
  scales_[output] = scale;
  weight_sums_[output] = sum;
}

template <typename RowOf>
void PackedMatrix::pack(const KernelTable& table, const WeightView& weight, const RowOf& row_of) {
  Buffer<float> scratch(in_features_);
  auto bytes = Buffer<int8_t>::zeros(ceil_div(in_features_, 4) * 4);  // the last ones stay zero
  for (int64_t panel = 0; panel < panel_count_; ++panel) {
    for (int64_t column = 0; column < width(); ++column) {
      const int64_t row = row_of(panel, column / lanes_, column % lanes_);
      switch (compute_type_) {
        case ComputeType::kFloat32:
          put_float(row >= 0 ? weight.row(row, in_features_, scratch.data()) : nullptr, panel, column);
          break;
        case ComputeType::kBfloat16:
          put_bfloat16(weight, row, panel, column, scratch.data());
          break;
        case ComputeType::kInt8:
          put_int8(table, weight, row, panel, column, scratch.data(), bytes.data());
          break;
      }
    }
  }
}

/// Sizes and empty panels for `outputs` outputs in panels of `vectors` vectors.
PackedMatrix::PackedMatrix(const KernelTable& table, int vectors, int64_t outputs, int64_t in_features,
                           ComputeType compute_type)
    : compute_type_(compute_type),
      vectors_(vectors),
      lanes_(table.lanes),
      panel_count_(ceil_div(outputs, vectors * static_cast<int64_t>(table.lanes))),
      in_features_(in_features) {
  const int64_t all = panel_count_ * width();
  switch (compute_type) {
    case ComputeType::kFloat32:
      data_ = Buffer<float>(all * in_features);
      break;
    case ComputeType::kBfloat16:
      pairs_ = Buffer<uint32_t>(all * ceil_div(in_features, 2));
      break;
    case ComputeType::kInt8:
      if (in_features > kMostInt8Inputs) {
        throw std::invalid_argument("a layer has " + std::to_string(in_features) + " inputs; int8 takes at most " +
                                    std::to_string(kMostInt8Inputs));
      }
      bytes_ = Buffer<int8_t>(all * ceil_div(in_features, 4) * 4);
      scales_ = Buffer<float>(all);
      weight_sums_ = Buffer<int32_t>(all);
      break;
  }
}

PackedMatrix PackedMatrix::dense(const KernelTable& table, const WeightView& weight, int64_t out_features,
                                 int64_t in_features, ComputeType compute_type) {
  const int vectors = compute_type == ComputeType::kFloat32    ? table.matmul_vectors
                      : compute_type == ComputeType::kBfloat16 ? table.bf16_vectors
                                                               : table.int8_vectors;
  const int64_t lanes = table.lanes, width = vectors * lanes;
  PackedMatrix packed(table, vectors, out_features, in_features, compute_type);
  packed.pack(table, weight, [=](int64_t panel, int64_t vector, int64_t lane) {
    const int64_t row = panel * width + vector * lanes + lane;
    return row < out_features ? row : -1;
  });
  return packed;
}

PackedMatrix PackedMatrix::gated(const KernelTable& table, const WeightView& weight, int gates, int64_t hidden_size,
                                 int64_t in_features, ComputeType compute_type) {
  const int64_t lanes = table.lanes;
  PackedMatrix packed(table, gates, ceil_div(hidden_size, lanes) * lanes * gates, in_features, compute_type);
  packed.pack(table, weight, [=](int64_t panel, int64_t gate, int64_t lane) {
    const int64_t unit = panel * lanes + lane;
    return unit < hidden_size ? gate * hidden_size + unit : -1;
  });
  return packed;
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
