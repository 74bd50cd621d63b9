// The decoding session of a TransformerSeq2Seq.
#pragma once

#include <vector>

#include "models/transformer_seq2seq.h"

namespace fastseq {

class TransformerDecoder final : public Decoder {
 public:
  /// memory (N, hidden_size), the encoder's output; only read here.
  TransformerDecoder(const TransformerSeq2Seq& model, const Ragged& source, const Buffer<float>& memory);

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  /// Keys and values of all rows of all steps so far. Rows of hypotheses that died stay: nothing is moved.
  struct Cache {
    Buffer<float> key_value;  // (capacity, 2 * hidden_size)
  };

  void extend_ancestors(const StepRows& rows);
  float* append_cache(Cache& cache, int64_t rows) const;
  void self_attention(std::size_t layer, const float* input, int64_t rows, float* output);
  void cross_attention(std::size_t layer, const StepRows& rows, const float* input, float* output, float* attention);
  DecodeAttentionArgs head_args() const;

  const TransformerSeq2Seq& model_;
  std::vector<int64_t> offsets_;      // of the source sentences
  std::vector<Buffer<float>> cross_;  // a layer each: keys and values of the memory, (N, 2 * hidden_size)
  std::vector<Cache> caches_;         // a layer each
  int64_t cached_rows_ = 0;           // before the current step
  int64_t steps_ = 0;                 // tokens each row has read, the current one included
  std::vector<int32_t> ancestors_;    // (rows, steps_): the cache row of each earlier token of a row, and its own
  std::vector<int32_t> next_ancestors_;
  Buffer<float> scores_;  // scratch (longest source or steps_)
};

}  // namespace fastseq
