// The encoded sentences that a recurrent decoder attends to.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "models/seq2seq.h"

namespace fastseq {

class SourceMemory {
 public:
  /// memory (N, memory_size) of the sentences of `source`.
  SourceMemory(const Ragged& source, Buffer<float> memory, int64_t memory_size);

  const float* data() const { return memory_.data(); }
  /// What queries are compared with, (N, size), if that is not the memory itself.
  void set_keys(Buffer<float> keys, int64_t size);

  /// Attention of each row's query (rows, size of the keys) to its sentence, scored by weight_score . tanh(query + key)
  /// (Bahdanau et al., 2015) or, where weight_score (size of the keys) is null, by query . key (Luong et al., 2015).
  ///   context (rows, memory_size), row r at context + r * context_stride; `attention`, if not null, gets the weights
  ///   of each row, row after row.
  void attend(const StepRows& rows, const float* queries, const float* weight_score, float* context,
              int64_t context_stride, float* attention);

 private:
  const KernelTable* kernels_;
  std::vector<int64_t> offsets_;  // of the sentences
  Buffer<float> memory_, keys_;   // (N, memory_size), (N, key_size); keys empty where the memory serves
  int64_t memory_size_, key_size_;
  Buffer<float> scores_;  // scratch, of one row
};

}  // namespace fastseq
