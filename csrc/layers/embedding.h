// Token embedding, with rows of its own or those of the output layer.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "layers/linear.h"

namespace fastseq {

class Embedding {
 public:
  Embedding() = default;
  /// weight (vocab_size, size)
  Embedding(Buffer<float> weight, int64_t size) : weight_(std::move(weight)), size_(size) {}
  /// Tied: row i is row i of the layer's weight, which has to outlive this.
  explicit Embedding(const Linear& tied) : tied_(&tied), size_(tied.in_features()) {}

  int64_t size() const { return size_; }

  /// output (size) = row `id`.
  void row(int64_t id, float* output) const {
    if (tied_ != nullptr) {
      tied_->weight_row(id, output);
    } else {
      std::memcpy(output, weight_.data() + id * size_, static_cast<std::size_t>(size_) * sizeof(float));
    }
  }

 private:
  Buffer<float> weight_;
  const Linear* tied_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace fastseq
