// Recurrent encoder and conditional recurrent decoder with deep transitions (Sennrich et al., 2017: Nematus; Marian's
// "s2s").
#pragma once

#include <memory>
#include <vector>

#include "models/normed_linear.h"
#include "models/seq2seq.h"
#include "models/transition_layer.h"

namespace fastseq {

enum class DeepEncoder {
  kBidirectional,    // two stacks, one of each direction
  kAlternating,      // the same, with layers that change the direction
  kBiUnidirectional  // one layer of both directions, forward layers on it
};

struct DeepRecurrentSeq2SeqConfig {
  int64_t source_vocab_size = 0, target_vocab_size = 0;
  int64_t embedding_size = 0, hidden_size = 0;
  DeepEncoder encoder_type = DeepEncoder::kBidirectional;
  int64_t encoder_num_layers = 0, encoder_depth = 0;  // depth: cells in each time step
  int64_t decoder_num_layers = 0;
  int64_t decoder_base_depth = 0, decoder_high_depth = 0;  // of the first layer and the others
  TransitionOptions encoder_cell, decoder_cell;
  bool layer_norm = false;  // of all dense layers but the last; that of the cells is among their options
  bool skip = false;        // every layer but the first adds its input to its output

  bool has_top() const { return encoder_type == DeepEncoder::kBiUnidirectional && encoder_num_layers > 1; }
  int64_t memory_size() const { return has_top() ? hidden_size : 2 * hidden_size; }
};

/// tanh of what stands before the last layer: W_w word + W_s state + W_c context + b, as one product, or as three with
/// a layer norm each.
class DeepOutput {
 public:
  DeepOutput(const DeepRecurrentSeq2SeqConfig& config, const TensorMap& tensors);

  /// output (rows, embedding_size) from word (rows, embedding_size), state (rows, hidden_size) and context
  /// (rows, memory_size).
  void forward(const float* word, const float* state, const float* context, int64_t rows, float* output) const;

 private:
  int64_t sizes_[3];        // of the word, the state and the context
  Linear joined_;           // (embedding_size, sum of the sizes)
  NormedLinear normed_[3];  // (embedding_size, size); the bias is that of the first
};

class DeepRecurrentSeq2Seq final : public Seq2Seq {
 public:
  DeepRecurrentSeq2Seq(const DeepRecurrentSeq2SeqConfig& config, const TensorMap& tensors);

  int64_t source_vocab_size() const override { return config_.source_vocab_size; }
  int64_t target_vocab_size() const override { return config_.target_vocab_size; }
  int64_t memory_size() const override { return config_.memory_size(); }
  bool attends() const override { return true; }
  int64_t max_positions() const override { return 0; }

  void encode(const Ragged& source, float* memory) const override;
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

 private:
  friend class DeepRecurrentDecoder;

  /// output (N, output_stride) of layers one on the other, input (N, ...); layer i reads backwards if reverse(i).
  void run_stack(const std::vector<TransitionLayer>& layers, const std::vector<bool>& reverse, const float* input,
                 const RaggedOrder& order, int64_t tokens, float* output, int64_t output_stride) const;

  const DeepRecurrentSeq2SeqConfig config_;
  Buffer<float> source_embedding_, target_embedding_;  // (vocabulary, embedding_size)
  std::vector<TransitionLayer> forward_, backward_, top_;
  NormedLinear start_;                 // (hidden_size, memory_size)
  TransitionLayer before_, after_;     // attention: the first layer of the decoder
  std::vector<TransitionLayer> high_;  // its other layers
  NormedLinear keys_, query_;          // (memory_size, memory_size), (memory_size, hidden_size)
  Buffer<float> score_;                // (memory_size)
  DeepOutput hidden_;
  Linear output_;  // (target_vocab_size, embedding_size)
};

}  // namespace fastseq
