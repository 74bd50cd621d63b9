// The decoding session of a DeepRecurrentSeq2Seq.
#pragma once

#include <vector>

#include "models/deep_recurrent_seq2seq.h"

namespace fastseq {

class DeepRecurrentDecoder final : public Decoder {
 public:
  /// memory (N, memory_size); start (B, hidden_size), the first state of every layer.
  DeepRecurrentDecoder(const DeepRecurrentSeq2Seq& model, const Ragged& source, Buffer<float> memory,
                       const Buffer<float>& start);

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  void attend(const StepRows& rows, const float* state, float* context, float* attention);

  const DeepRecurrentSeq2Seq& model_;
  std::vector<int64_t> offsets_;       // of the source sentences
  Buffer<float> memory_, keys_;        // (N, memory_size)
  std::vector<Buffer<float>> states_;  // a layer each: (rows of the step before, hidden_size)
  Buffer<float> scores_;               // scratch, of one row
};

}  // namespace fastseq
