// How weights get into panels: packed by all threads, or taken as they are where they are packed already.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "layers/packed.h"
#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Inputs that are packed together: a line of a row. Even, for the pairs of bfloat16.
constexpr int64_t kBlock = 16;
// A share of numbers below this is not worth waking a thread for.
constexpr int64_t kMinimumShare = 1 << 16;

/// bytes (in_features) of a row, zeros for row -1; returns the scale.
float quantize_row(const KernelTable& table, const WeightView& weight, int64_t row, int64_t in_features, float* floats,
                   int8_t* bytes) {
  if (row >= 0 && weight.bytes() == nullptr) {
    float scale = 0.0f;
    QuantizeArgs args;
    args.input = weight.row(row, in_features, floats);
    args.rows = 1;
    args.size = in_features;
    args.output = bytes;
    args.scales = &scale;
    table.quantize_rows(args);
    return scale;
  }
  if (row < 0) {
    std::memset(bytes, 0, static_cast<std::size_t>(in_features));
    return 0.0f;
  }
  std::memcpy(bytes, weight.bytes() + row * in_features, static_cast<std::size_t>(in_features));
  return weight.scales()[row];
}

/// Inputs [begin, end) of a row in bfloat16.
void halves_of(const WeightView& weight, int64_t row, int64_t in_features, int64_t begin, int64_t end, float* floats,
               uint16_t* halves) {
  if (weight.halves() != nullptr) {
    std::copy_n(weight.halves() + row * in_features + begin, end - begin, halves);
    return;
  }
  const float* values = weight.part(row, in_features, begin, end, floats);
  if (end - begin == kBlock) {
    for (int64_t k = 0; k < kBlock; ++k) halves[k] = to_bfloat16(values[k]);  // a known count: vectors
  } else {
    for (int64_t k = 0; k < end - begin; ++k) halves[k] = to_bfloat16(values[k]);
  }
}

}  // namespace

/// The rows that a panel's columns take, and memory to bring them into its form.
struct PackedMatrix::Rows {
  explicit Rows(const PackedMatrix& matrix)
      : row_of(static_cast<std::size_t>(matrix.width())),
        together(row_of.size()),
        floats(matrix.in_features_),
        bytes(matrix.quantized() ? Buffer<int8_t>::zeros(matrix.width() * matrix.groups() * 4) : Buffer<int8_t>(0)) {}

  void count_together() {
    for (std::size_t column = row_of.size(); column-- > 0;) {
      const bool followed =
          column + 1 < row_of.size() && row_of[column] >= 0 && row_of[column + 1] == row_of[column] + 1;
      together[column] = followed ? together[column + 1] + 1 : 1;
    }
  }

  std::vector<int64_t> row_of;    // (width), -1 for none
  std::vector<int64_t> together;  // (width): columns from this one on that take rows which follow each other
  Buffer<float> floats;           // (in_features): a row that is not stored as floats
  Buffer<int8_t> bytes;           // (width, groups, 4): the quantised rows; what is beyond in_features stays zero
};

void PackedMatrix::pack_panel(const KernelTable& table, const WeightView& weight, int64_t panel, Rows& rows) {
  const int64_t width = this->width(), count = groups(), first = panel * count * width;
  if (compute_type_ == ComputeType::kInt8) {
    for (int64_t column = 0; column < width; ++column) {
      const int64_t row = rows.row_of[static_cast<std::size_t>(column)], output = panel * width + column;
      int8_t* bytes = rows.bytes.data() + column * count * 4;
      scales_[output] = quantize_row(table, weight, row, in_features_, rows.floats.data(), bytes);
      int32_t sum = 0;
      for (int64_t k = 0; k < count * 4; ++k) sum += bytes[k];
      weight_sums_[output] = sum;
    }
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      for (int64_t column = 0; column < width; ++column) {
        const int8_t* from = rows.bytes.data() + column * count * 4;
        for (int64_t k = begin; k < std::min(count, begin + kBlock); ++k) {
          std::memcpy(bytes_.data() + (first + k * width + column) * 4, from + k * 4, 4);
        }
      }
    }
    return;
  }
  // Blocks of inputs, so that the lines of the panel that all columns write to stay in the cache.
  for (int64_t begin = 0; begin < in_features_; begin += kBlock) {
    const int64_t end = std::min(in_features_, begin + kBlock);
    for (int64_t column = 0, together = 1; column < width; column += together) {
      const int64_t row = rows.row_of[static_cast<std::size_t>(column)];
      if (compute_type_ == ComputeType::kFloat32) {
        // Rows that are stored as floats and follow each other go together.
        together = weight.values() != nullptr ? rows.together[static_cast<std::size_t>(column)] : 1;
        float* to = data_.data() + first + begin * width + column;
        if (row >= 0) {
          const float* from = weight.part(row, in_features_, begin, end, rows.floats.data());
          table.transpose(from, in_features_, together, end - begin, to, width);
        } else {
          for (int64_t k = 0; k < end - begin; ++k) to[k * width] = 0.0f;
        }
      } else {
        uint16_t halves[kBlock] = {};
        if (row >= 0) halves_of(weight, row, in_features_, begin, end, rows.floats.data(), halves);
        uint32_t* to = pairs_.data() + first + begin / 2 * width + column;
        for (int64_t k = 0; k < ceil_div(end - begin, 2); ++k) {
          to[k * width] = halves[2 * k] | static_cast<uint32_t>(halves[2 * k + 1]) << 16;
        }
      }
    }
  }
}

template <typename RowOf>
void PackedMatrix::pack(const KernelTable& table, const WeightView& weight, const RowOf& row_of) {
  const int64_t all = outputs();
  switch (compute_type_) {
    case ComputeType::kFloat32:
      data_ = Buffer<float>(all * in_features_);
      break;
    case ComputeType::kBfloat16:
      pairs_ = Buffer<uint32_t>(all * groups());
      break;
    case ComputeType::kInt8:
      bytes_ = Buffer<int8_t>(all * groups() * 4);
      scales_ = Buffer<float>(all);
      weight_sums_ = Buffer<int32_t>(all);
      break;
  }
  parallel_for(panel_count_, kMinimumShare / (width() * in_features_ + 1) + 1, [&](int64_t begin, int64_t end) {
    Rows rows(*this);
    for (int64_t panel = begin; panel < end; ++panel) {
      for (int64_t column = 0; column < width(); ++column) {
        rows.row_of[static_cast<std::size_t>(column)] = row_of(panel, column / lanes_, column % lanes_);
      }
      rows.count_together();
      pack_panel(table, weight, panel, rows);
    }
  });
}

/// Whether the weight is packed as wanted; its numbers stay where they are.
bool PackedMatrix::borrow(const WeightView& weight, const PackedRows& wanted) {
  const WeightOrigin& origin = *weight.origin();
  for (const PackedRows& packed : origin.packed) {
    if (packed.compute_type != wanted.compute_type || packed.first_row != wanted.first_row ||
        packed.rows != wanted.rows || packed.columns != wanted.columns || packed.gates != wanted.gates ||
        packed.width != wanted.width || packed.outputs != outputs()) {
      continue;
    }
    const int64_t numbers = outputs() * groups();
    if (packed.bytes != numbers * 4) continue;
    if (compute_type_ == ComputeType::kFloat32) {
      data_ = Buffer<float>::borrow(static_cast<const float*>(packed.data), numbers, origin.owner);
    } else if (compute_type_ == ComputeType::kBfloat16) {
      pairs_ = Buffer<uint32_t>::borrow(static_cast<const uint32_t*>(packed.data), numbers, origin.owner);
    } else {
      bytes_ = Buffer<int8_t>::borrow(static_cast<const int8_t*>(packed.data), numbers * 4, origin.owner);
      scales_ = Buffer<float>::borrow(packed.scales, outputs(), origin.owner);
      weight_sums_ = Buffer<int32_t>::borrow(packed.sums, outputs(), origin.owner);
    }
    return true;
  }
  return false;
}

void PackedMatrix::describe(PackedRows& packed) const {
  packed.width = width();
  packed.outputs = outputs();
  packed.bytes = outputs() * groups() * 4;
  packed.data = compute_type_ == ComputeType::kFloat32    ? static_cast<const void*>(data_.data())
                : compute_type_ == ComputeType::kBfloat16 ? static_cast<const void*>(pairs_.data())
                                                          : static_cast<const void*>(bytes_.data());
  packed.scales = scales_.data();
}

template <typename RowOf>
void PackedMatrix::fill(const KernelTable& table, const WeightView& weight, int64_t gates, int64_t rows,
                        const RowOf& row_of) {
  const WeightOrigin* origin = weight.origin();
  PackedRows packed;
  packed.compute_type = compute_type_;
  packed.first_row = weight.first_row();
  packed.rows = rows;
  packed.columns = in_features_;
  packed.gates = gates;
  packed.width = width();
  if (origin == nullptr || origin->packed.empty()) {
    pack(table, weight, row_of);
  } else if (!borrow(weight, packed)) {
    throw std::invalid_argument("tensor " + origin->name + " is packed in another way than this processor needs");
  }
  if (origin == nullptr || origin->record == nullptr) return;
  describe(packed);
  origin->record->packed[origin->name].push_back(packed);
}

PackedMatrix PackedMatrix::dense(const KernelTable& table, const WeightView& weight, int64_t out_features,
                                 int64_t in_features, ComputeType compute_type) {
  const int vectors = compute_type == ComputeType::kFloat32    ? table.matmul_vectors
                      : compute_type == ComputeType::kBfloat16 ? table.bf16_vectors
                                                               : table.int8_vectors;
  const int64_t lanes = table.lanes, width = vectors * lanes;
  PackedMatrix packed(table, vectors, out_features, in_features, compute_type);
  packed.fill(table, weight, 0, out_features, [=](int64_t panel, int64_t vector, int64_t lane) {
    const int64_t row = panel * width + vector * lanes + lane;
    return row < out_features ? row : -1;
  });
  return packed;
}

PackedMatrix PackedMatrix::gated(const KernelTable& table, const WeightView& weight, int gates, int64_t hidden_size,
                                 int64_t in_features, ComputeType compute_type) {
  const int64_t lanes = table.lanes;
  PackedMatrix packed(table, gates, ceil_div(hidden_size, lanes) * lanes * gates, in_features, compute_type);
  packed.fill(table, weight, gates, gates * hidden_size, [=](int64_t panel, int64_t gate, int64_t lane) {
    const int64_t unit = panel * lanes + lane;
    return unit < hidden_size ? gate * hidden_size + unit : -1;
  });
  return packed;
}

}  // namespace fastseq
