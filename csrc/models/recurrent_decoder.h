// The decoding session of a RecurrentSeq2Seq.
#pragma once

#include "models/recurrent_seq2seq.h"
#include "models/source_memory.h"

namespace fastseq {

class RecurrentDecoder final : public Decoder {
 public:
  /// memory (N, memory_size); hidden and cell (decoder_num_layers, B, decoder_hidden_size), cell empty if unused.
  RecurrentDecoder(const RecurrentSeq2Seq& model, const Ragged& source, Buffer<float> memory, Buffer<float> hidden,
                   Buffer<float> cell);

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  void reorder(const StepRows& rows);
  const float* embed(const StepRows& rows);
  const float* attend(const StepRows& rows, const float* top, float* attention);

  const RecurrentSeq2Seq& model_;
  SourceMemory memory_;          // (N, memory_size)
  int64_t rows_;                 // of the step before; B before the first
  Buffer<float> hidden_, cell_;  // (decoder_num_layers, rows_, decoder_hidden_size)
  Buffer<float> attentional_;    // (rows_, decoder_hidden_size): tanh(W [context; hidden] + b), zeros before; without
                                 // attention the top hidden state, if it is fed
  Buffer<float> next_;           // scratch of reorder, takes turns with the states
  Buffer<float> input_, joined_, query_;  // scratch of a step
};

}  // namespace fastseq
