// RNN, LSTM or GRU encoder and decoder with attention
// (Sutskever et al., 2014; Bahdanau et al., 2015; Luong et al., 2015).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/recurrent.h"
#include "models/seq2seq.h"
#include "models/tensors.h"

namespace fastseq {

enum class Bridge { kCopy, kLinear, kDense, kZero };
enum class AttentionKind { kNone, kAdditive, kDot, kGeneral };

struct RecurrentSeq2SeqConfig {
  Cell cell = Cell::kLstm;
  int64_t source_vocab_size = 0, target_vocab_size = 0;
  int64_t source_embedding_size = 0, target_embedding_size = 0;
  int64_t encoder_hidden_size = 0, encoder_num_layers = 0;
  bool encoder_bidirectional = false;
  int64_t decoder_hidden_size = 0, decoder_num_layers = 0;
  Bridge bridge = Bridge::kCopy;
  AttentionKind attention = AttentionKind::kNone;
  int64_t attention_size = 0;  // of additive attention
  bool input_feeding = false;
  Activation combine_activation = Activation::kTanh;  // of the attentional state

  int64_t memory_size() const { return encoder_hidden_size * (encoder_bidirectional ? 2 : 1); }
};

/// Layers from tensors `prefix`weight_ih_l0, `prefix`weight_hh_l0, ... as torch.nn.LSTM names them.
Recurrent load_recurrent(const TensorMap& tensors, const std::string& prefix, Cell cell, int64_t input_size,
                         int64_t hidden_size, int64_t num_layers, bool bidirectional);

class RecurrentSeq2Seq final : public Seq2Seq {
 public:
  RecurrentSeq2Seq(const RecurrentSeq2SeqConfig& config, const TensorMap& tensors);

  int64_t source_vocab_size() const override { return config_.source_vocab_size; }
  int64_t target_vocab_size() const override { return config_.target_vocab_size; }
  int64_t memory_size() const override { return config_.memory_size(); }
  bool attends() const override { return config_.attention != AttentionKind::kNone; }
  int64_t max_positions() const override { return 0; }

  void encode(const Ragged& source, float* memory) const override;
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

 private:
  friend class RecurrentDecoder;

  /// memory (N, memory_size); final states (num_layers * directions, B, encoder_hidden_size).
  void run_encoder(const Ragged& source, float* memory, float* h_n, float* c_n) const;
  /// Decoder's first states (decoder_num_layers, B, decoder_hidden_size) from one kind of final state.
  Buffer<float> bridge(const Buffer<float>& final_state, const std::vector<Linear>& dense, int64_t batch) const;

  RecurrentSeq2SeqConfig config_;
  const KernelTable* kernels_;
  Buffer<float> source_embedding_;  // (source_vocab_size, source_embedding_size)
  Buffer<float> target_embedding_;  // (target_vocab_size, target_embedding_size)
  Recurrent encoder_, decoder_;
  TokenGates source_gates_, target_gates_;   // instead of the embeddings, where not empty
  std::vector<Linear> bridge_h_, bridge_c_;  // a layer each, for the dense bridge
  Linear keys_;                              // memory -> what the decoder's state is compared with (general, additive)
  Linear query_;                             // additive
  Buffer<float> score_;                      // additive: (attention_size)
  Linear combine_;                           // [context; hidden] -> attentional state
  Linear output_;
};

}  // namespace fastseq
