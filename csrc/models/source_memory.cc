#include "models/source_memory.h"

#include <algorithm>
#include <cstring>

namespace fastseq {

SourceMemory::SourceMemory(const Ragged& source, Buffer<float> memory, int64_t memory_size)
    : kernels_(&kernels()),
      offsets_(source.offsets, source.offsets + source.batch_size + 1),
      memory_(std::move(memory)),
      memory_size_(memory_size),
      key_size_(memory_size) {
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  scores_ = Buffer<float>(longest);
}

void SourceMemory::set_keys(Buffer<float> keys, int64_t size) {
  keys_ = std::move(keys);
  key_size_ = size;
}

void SourceMemory::attend(const StepRows& rows, const float* queries, const float* weight_score, float* context,
                          int64_t context_stride, float* attention) {
  const float* all_keys = keys_.size() > 0 ? keys_.data() : memory_.data();
  float* weights = scores_.data();
  for (std::size_t r = 0; r < rows.sentences.size(); ++r) {
    const auto sentence = static_cast<std::size_t>(rows.sentences[r]);
    const auto row = static_cast<int64_t>(r);
    const int64_t begin = offsets_[sentence], length = offsets_[sentence + 1] - begin;
    const float *query = queries + row * key_size_, *keys = all_keys + begin * key_size_;
    if (weight_score != nullptr) {
      kernels_->additive_scores(query, keys, key_size_, length, weight_score, key_size_, weights);
    } else {
      kernels_->dot_scores(query, keys, key_size_, length, key_size_, weights);
    }
    kernels_->softmax(weights, 1, length, weights);
    kernels_->weighted_sum(weights, memory_.data() + begin * memory_size_, memory_size_, length, memory_size_,
                           context + row * context_stride);
    if (attention == nullptr || length == 0) continue;
    std::memcpy(attention, weights, static_cast<std::size_t>(length) * sizeof(float));
    attention += length;
  }
}

}  // namespace fastseq
