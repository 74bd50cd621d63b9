// The decoding session of a DeepRecurrentSeq2Seq.
#pragma once

#include <vector>

#include "models/deep_recurrent_seq2seq.h"
#include "models/source_memory.h"

namespace fastseq {

class DeepRecurrentDecoder final : public Decoder {
 public:
  /// memory (N, memory_size); start (B, hidden_size), the first state of every layer, of an LSTM also its first c.
  DeepRecurrentDecoder(const DeepRecurrentSeq2Seq& model, const Ragged& source, Buffer<float> memory,
                       const Buffer<float>& start);

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  const DeepRecurrentSeq2Seq& model_;
  SourceMemory memory_;                        // (N, memory_size)
  std::vector<Buffer<float>> states_, cells_;  // a layer each: (rows of the step before, hidden_size); cells of LSTMs
};

}  // namespace fastseq
