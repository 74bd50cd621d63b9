// The time loop of one recurrent layer over a ragged batch.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/recurrent.h"

namespace fastseq {

/// Sequences from long to short: at time t the first `active(t)` of them are running.
class RaggedOrder {
 public:
  RaggedOrder(const int64_t* offsets, int64_t batch_size);
  /// Every shares-th of the sequences of another order, beginning with the first_rank-th: about as many steps of each
  /// length in every share.
  RaggedOrder(const RaggedOrder& all, int64_t first_rank, int64_t shares);

  int64_t batch_size() const { return static_cast<int64_t>(sequence_.size()); }
  int64_t steps() const { return static_cast<int64_t>(active_.size()); }  // of the longest
  int64_t active(int64_t t) const { return active_[static_cast<std::size_t>(t)]; }
  int64_t sequence(int64_t rank) const { return sequence_[static_cast<std::size_t>(rank)]; }
  int64_t length(int64_t rank) const { return length_[static_cast<std::size_t>(rank)]; }
  /// Index of the token of the rank-th sequence at time t.
  int64_t token(int64_t rank, int64_t t) const { return begin_[static_cast<std::size_t>(rank)] + t; }

 private:
  void count_active();

  std::vector<int64_t> sequence_, begin_, length_, active_;
};

/// Everything one layer reads and writes; up to two directions (forward, reverse).
struct LayerRun {
  const RaggedOrder* order = nullptr;
  RecurrentInput input;
  float* output = nullptr;  // (N, output_stride); direction d writes columns [d * H, (d + 1) * H)
  int64_t output_stride = 0;
  int64_t hidden_size = 0;
  bool has_cell = false;
  const RecurrentDirection* direction[2] = {};
  const float* h0[2] = {};  // (B, H) in the caller's order of sequences, or null
  const float* c0[2] = {};
  float* h_n[2] = {};
  float* c_n[2] = {};
};

void run_layer(const LayerRun& run, int num_directions);

}  // namespace fastseq
