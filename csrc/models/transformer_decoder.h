// The decoding session of a Transformer decoder, with or without an encoder's output to attend to.
#pragma once

#include <vector>

#include "models/transformer_stack.h"

namespace fastseq {

class TransformerDecoder final : public Decoder {
 public:
  /// memory (N, hidden_size), the encoder's output for the tokens of `source`; only read here.
  TransformerDecoder(const TransformerStack& stack, const OutputLayer& output, const Ragged& source,
                     const float* memory);
  /// No encoder: each sentence continues its prompt, of at least one token. The first step reads the last token of
  /// the prompts, whatever its ids.
  TransformerDecoder(const TransformerStack& stack, const OutputLayer& output, const Ragged& prompts);

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  /// Keys and values of all rows of all steps so far. Rows of hypotheses that died stay: nothing is moved.
  struct Cache {
    Buffer<float> key_value;  // (capacity, 2 * inner)
  };

  void extend_histories(const StepRows& rows);
  float* append_cache(Cache& cache, int64_t rows) const;
  void take_cells(const StepRows& rows);
  void ssru(int64_t layer, const float* input, int64_t rows, float* output);
  void self_attention(int64_t layer, const float* input, int64_t rows, float* output);
  void cross_attention(int64_t layer, const StepRows& rows, const float* input, float* output, float* attention);
  DecodeAttentionArgs head_args() const;
  int64_t history(int64_t row) const {
    return begins_[static_cast<std::size_t>(row) + 1] - begins_[static_cast<std::size_t>(row)];
  }

  const TransformerStack& stack_;
  const OutputLayer& output_;
  std::vector<int64_t> offsets_;      // of the source sentences
  std::vector<Buffer<float>> cross_;  // a layer each: keys and values of the memory, (N, 2 * inner)
  std::vector<Cache> caches_;         // a layer each
  std::vector<Buffer<float>> cells_;  // a layer each, of an SSRU: (rows, hidden)
  std::vector<int32_t> first_ids_;    // of each sentence, if the first step reads them
  int64_t cached_rows_ = 0;           // before the current step
  bool started_ = false;
  // The cache rows of all tokens a row has read, the current one included: of row r those from begins_[r] on.
  std::vector<int64_t> begins_;  // (rows + 1); before the first step by sentence: the prompts
  std::vector<int32_t> ancestors_;
  std::vector<int64_t> next_begins_;
  std::vector<int32_t> next_ancestors_;
  int64_t longest_ = 0;   // history of this step
  Buffer<float> biases_;  // (heads, longest_), of a layer: of keys 0 to longest_ - 1 for the query at the last
  // Scratch of a step.
  Buffer<float> x_, residual_, projected_, context_, inner_;
};

}  // namespace fastseq
