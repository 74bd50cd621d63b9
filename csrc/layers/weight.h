// What a weight is computed in, and a weight as it is stored.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fastseq {

/// Of the weights of dense and recurrent layers. Biases, norms and everything between layers are float32.
enum class ComputeType : int32_t { kFloat32, kBfloat16, kInt8 };

/// Rows of a weight in panels (layouts: kernels/args.h). A view.
struct PackedRows {
  ComputeType compute_type = ComputeType::kFloat32;
  int64_t first_row = 0, rows = 0, columns = 0;  // of the weight
  int64_t gates = 0;                             // blocks of rows that are interleaved; 0 for none
  int64_t width = 0;                             // outputs in a panel
  const void* data = nullptr;                    // (panels, groups, width, numbers of a group)
  int64_t bytes = 0;
  const float* scales = nullptr;  // int8: (panels * width)
  const int32_t* sums = nullptr;  // int8, when it is read: (panels * width), of the numbers of each row
  int64_t outputs = 0;            // panels * width
};

/// Where the numbers that a model computes with lie; good as long as the model is. Its layers fill it.
struct WeightRecord {
  struct Table {
    const float* data = nullptr;
    int64_t size = 0;
  };
  std::map<std::string, std::vector<PackedRows>> packed;
  std::map<std::string, Table> tables;                // used as they are: embeddings, norms
  std::map<std::string, std::vector<float>> vectors;  // copies of what is packed with a weight: biases
};

/// A weight's name, what of it is packed already, and where to note how it is packed now.
struct WeightOrigin {
  std::string name;
  std::vector<PackedRows> packed;
  std::shared_ptr<const void> owner;  // of `packed`
  std::shared_ptr<WeightRecord> record;
};

/// A weight (rows, columns) in C order, as float32, bfloat16, or int8 with a scale for each row; or one that is packed
/// already, which its origin has. A view.
class WeightView {
 public:
  WeightView(const float* values) : values_(values) {}  // implicit: most weights are floats
  explicit WeightView(const uint16_t* halves) : halves_(halves) {}
  WeightView(const int8_t* bytes, const float* scales) : bytes_(bytes), scales_(scales) {}

  const float* values() const { return values_; }     // null unless float32
  const uint16_t* halves() const { return halves_; }  // null unless bfloat16
  const int8_t* bytes() const { return bytes_; }      // null unless int8
  const float* scales() const { return scales_; }     // (rows), with bytes()

  /// The same, of a named tensor; `origin` has to outlive the view.
  WeightView of(const WeightOrigin* origin) const;
  const WeightOrigin* origin() const { return origin_; }  // null: of nothing that has a name
  int64_t first_row() const { return first_row_; }        // in the tensor

  /// The weight without its first rows.
  WeightView from_row(int64_t row, int64_t columns) const;
  /// One row as floats; `buffer` holds it unless it is stored so.
  const float* row(int64_t row, int64_t columns, float* buffer) const { return part(row, columns, 0, columns, buffer); }
  /// Columns [begin, end) of a row.
  const float* part(int64_t row, int64_t columns, int64_t begin, int64_t end, float* buffer) const;

 private:
  const float* values_ = nullptr;
  const uint16_t* halves_ = nullptr;
  const int8_t* bytes_ = nullptr;
  const float* scales_ = nullptr;
  const WeightOrigin* origin_ = nullptr;
  int64_t first_row_ = 0;
};

/// The bfloat16 number nearest to x, ties to even; NaN stays NaN.
inline uint16_t to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

}  // namespace fastseq
