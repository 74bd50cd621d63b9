// Several models of one vocabulary that decide together.
#pragma once

#include <memory>
#include <vector>

#include "models/seq2seq.h"

namespace fastseq {

enum class Average {
  kProbability,  // log sum_m w_m p_m
  kLog,          // sum_m w_m log p_m, which the softmax of the search normalises again
};

class Ensemble final : public Seq2Seq {
 public:
  /// The models must outlive the ensemble; weights are above 0 and sum to 1. Throws std::invalid_argument if there is
  /// no model, the numbers differ, or a model has other vocabulary sizes than the first.
  Ensemble(std::vector<const Seq2Seq*> models, std::vector<float> weights, Average average);

  int64_t source_vocab_size() const override { return models_.front()->source_vocab_size(); }
  int64_t target_vocab_size() const override { return models_.front()->target_vocab_size(); }
  /// The memories lie side by side.
  int64_t memory_size() const override;
  /// If all models do: the mean of their weights on the source.
  bool attends() const override;
  int64_t max_positions() const override { return least(&Seq2Seq::max_positions); }
  int64_t max_source_positions() const override { return least(&Seq2Seq::max_source_positions); }

  void encode(const Ragged& source, float* memory) const override;
  std::unique_ptr<Decoder> start(const Ragged& source) const override;

 private:
  friend class EnsembleDecoder;
  /// The least of the models' limits, or 0 if none has one.
  int64_t least(int64_t (Seq2Seq::*limit)() const) const;

  std::vector<const Seq2Seq*> models_;
  std::vector<float> weights_;
  Average average_;
};

}  // namespace fastseq
