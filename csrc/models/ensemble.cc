#include "models/ensemble.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"
#include "runtime/thread_pool.h"

namespace fastseq {

class EnsembleDecoder final : public Decoder {
 public:
  EnsembleDecoder(const Ensemble& ensemble, const Ragged& source)
      : ensemble_(ensemble), offsets_(source.offsets, source.offsets + source.batch_size + 1) {
    for (const Seq2Seq* model : ensemble.models_) members_.push_back(model->start(source));
  }

  void step(const StepRows& rows, float* logits, float* attention) override;

 private:
  void step_member(std::size_t member, const StepRows& rows, float* attention, int64_t weights);
  /// The average of the members' log-probabilities, which lie `stride` apart.
  void combine(const float* log_probs, int64_t stride, int64_t size, float* output) const;

  const Ensemble& ensemble_;
  std::vector<int64_t> offsets_;  // of the source sentences
  std::vector<std::unique_ptr<Decoder>> members_;
  Buffer<float> log_probs_;  // (members, rows, vocab_size)
  Buffer<float> attention_;  // of one member
};

void EnsembleDecoder::step(const StepRows& rows, float* logits, float* attention) {
  const auto count = static_cast<int64_t>(rows.ids.size()), vocab_size = ensemble_.target_vocab_size();
  const int64_t stride = count * vocab_size;
  log_probs_.reserve_discard(static_cast<int64_t>(members_.size()) * stride);
  int64_t weights = 0;
  if (attention != nullptr) {
    for (const int64_t b : rows.sentences) {
      weights += offsets_[static_cast<std::size_t>(b) + 1] - offsets_[static_cast<std::size_t>(b)];
    }
    attention_.reserve_discard(weights);
    std::fill_n(attention, weights, 0.0F);
  }
  for (std::size_t m = 0; m < members_.size(); ++m) step_member(m, rows, attention, weights);
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      combine(log_probs_.data() + row * vocab_size, stride, vocab_size, logits + row * vocab_size);
    }
  });
}

void EnsembleDecoder::step_member(std::size_t member, const StepRows& rows, float* attention, int64_t weights) {
  const auto count = static_cast<int64_t>(rows.ids.size()), vocab_size = ensemble_.target_vocab_size();
  float* log_probs = log_probs_.data() + static_cast<int64_t>(member) * count * vocab_size;
  members_[member]->step(rows, log_probs, attention != nullptr ? attention_.data() : nullptr);
  kernels().log_softmax(log_probs, count, vocab_size, log_probs);
  for (int64_t i = 0; attention != nullptr && i < weights; ++i) {
    attention[i] = std::fma(ensemble_.weights_[member], attention_.data()[i], attention[i]);
  }
}

void EnsembleDecoder::combine(const float* log_probs, int64_t stride, int64_t size, float* output) const {
  const std::vector<float>& weights = ensemble_.weights_;
  if (ensemble_.average_ == Average::kLog) {
    std::fill_n(output, size, 0.0F);
    for (std::size_t m = 0; m < weights.size(); ++m) {
      const float* of_member = log_probs + static_cast<int64_t>(m) * stride;
      for (int64_t i = 0; i < size; ++i) output[i] = std::fma(weights[m], of_member[i], output[i]);
    }
    return;
  }
  // log sum_m w_m e^l_m = max + log sum_m w_m e^(l_m - max): nothing vanishes.
  Buffer<float> largest(size), shifted(size);
  std::memcpy(largest.data(), log_probs, static_cast<std::size_t>(size) * sizeof(float));
  for (std::size_t m = 1; m < weights.size(); ++m) {
    const float* of_member = log_probs + static_cast<int64_t>(m) * stride;
    for (int64_t i = 0; i < size; ++i) largest[i] = std::max(largest[i], of_member[i]);
  }
  // -inf - -inf would be NaN: a token that no model allows keeps its -inf by the shift below.
  const auto shift = [&](int64_t i) { return std::isinf(largest[i]) ? 0.0F : largest[i]; };
  std::fill_n(output, size, 0.0F);
  for (std::size_t m = 0; m < weights.size(); ++m) {
    const float* of_member = log_probs + static_cast<int64_t>(m) * stride;
    for (int64_t i = 0; i < size; ++i) shifted[i] = of_member[i] - shift(i);
    kernels().exp(shifted.data(), size, shifted.data());
    for (int64_t i = 0; i < size; ++i) output[i] = std::fma(weights[m], shifted[i], output[i]);
  }
  // The logarithm in double, rounded: the same float from every mathematical library.
  for (int64_t i = 0; i < size; ++i) {
    output[i] = static_cast<float>(static_cast<double>(largest[i]) + std::log(static_cast<double>(output[i])));
  }
}

Ensemble::Ensemble(std::vector<const Seq2Seq*> models, std::vector<float> weights, Average average)
    : models_(std::move(models)), weights_(std::move(weights)), average_(average) {
  if (models_.empty()) throw std::invalid_argument("models is empty; expected at least one");
  if (models_.size() != weights_.size()) {
    throw std::invalid_argument("weights has " + std::to_string(weights_.size()) +
                                " numbers; expected one for each of " + std::to_string(models_.size()) + " models");
  }
  for (std::size_t m = 0; m < models_.size(); ++m) {
    if (!(weights_[m] > 0.0F && weights_[m] <= 1.0F)) {
      throw std::invalid_argument("weights[" + std::to_string(m) + "] is " + std::to_string(weights_[m]) +
                                  "; expected a number above 0 and at most 1");
    }
    const auto check = [m](const char* what, int64_t size, int64_t wanted) {
      if (size == wanted) return;
      throw std::invalid_argument("models[" + std::to_string(m) + "] has " + what + " " + std::to_string(size) +
                                  "; expected " + std::to_string(wanted) + ", that of models[0]");
    };
    check("source_vocab_size", models_[m]->source_vocab_size(), source_vocab_size());
    check("target_vocab_size", models_[m]->target_vocab_size(), target_vocab_size());
  }
}

int64_t Ensemble::memory_size() const {
  int64_t size = 0;
  for (const Seq2Seq* model : models_) size += model->memory_size();
  return size;
}

bool Ensemble::attends() const {
  return std::all_of(models_.begin(), models_.end(), [](const Seq2Seq* model) { return model->attends(); });
}

int64_t Ensemble::least(int64_t (Seq2Seq::*limit)() const) const {
  int64_t least = 0;
  for (const Seq2Seq* model : models_) {
    const int64_t positions = (model->*limit)();
    if (positions > 0 && (least == 0 || positions < least)) least = positions;
  }
  return least;
}

void Ensemble::encode(const Ragged& source, float* memory) const {
  const int64_t width = memory_size();
  int64_t column = 0;
  for (const Seq2Seq* model : models_) {
    const int64_t size = model->memory_size();
    Buffer<float> own(source.tokens() * size);
    model->encode(source, own.data());
    for (int64_t i = 0; i < source.tokens(); ++i) {
      std::memcpy(memory + i * width + column, own.data() + i * size, static_cast<std::size_t>(size) * sizeof(float));
    }
    column += size;
  }
}

std::unique_ptr<Decoder> Ensemble::start(const Ragged& source) const {
  return std::make_unique<EnsembleDecoder>(*this, source);
}

}  // namespace fastseq
