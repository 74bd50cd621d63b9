#include "models/deep_recurrent_decoder.h"

#include <algorithm>
#include <cstring>

namespace fastseq {
namespace {

std::size_t bytes(int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

}  // namespace

DeepRecurrentDecoder::DeepRecurrentDecoder(const DeepRecurrentSeq2Seq& model, const Ragged& source,
                                           Buffer<float> memory, const Buffer<float>& start)
    : model_(model),
      offsets_(source.offsets, source.offsets + source.batch_size + 1),
      memory_(std::move(memory)),
      keys_(source.tokens() * model.memory_size()) {
  model.keys_.forward(memory_.data(), source.tokens(), keys_.data());
  for (int64_t layer = 0; layer < model.config_.decoder_num_layers; ++layer) {
    Buffer<float>& state = states_.emplace_back(start.size());
    std::memcpy(state.data(), start.data(), bytes(start.size()));
  }
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  scores_ = Buffer<float>(longest);
}

void DeepRecurrentDecoder::step(const StepRows& rows, float* logits, float* attention) {
  const DeepRecurrentSeq2SeqConfig& config = model_.config_;
  const int64_t hidden = config.hidden_size, width = config.embedding_size, memory = config.memory_size();
  const auto count = static_cast<int64_t>(rows.ids.size());
  if (count == 0) return;
  for (Buffer<float>& state : states_) {
    Buffer<float> next(count * hidden);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t parent = rows.parents[static_cast<std::size_t>(r)];
      std::memcpy(next.data() + r * hidden, state.data() + parent * hidden, bytes(hidden));
    }
    state = std::move(next);
  }
  Buffer<float> embedded(count * width), context(count * memory);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t id = rows.ids[static_cast<std::size_t>(r)];
    std::memcpy(embedded.data() + r * width, model_.target_embedding_.data() + id * width, bytes(width));
  }
  float* base = states_.front().data();
  model_.before_.step(embedded.data(), count, base);
  attend(rows, base, context.data(), attention);
  model_.after_.step(context.data(), count, base);
  const float* top = base;
  Buffer<float> sums;  // output of a layer that adds its input; a later one adds to it
  for (std::size_t i = 0; i < model_.high_.size(); ++i) {
    float* state = states_[i + 1].data();
    model_.high_[i].step(top, count, state);
    if (config.skip) {
      sums.reserve_discard(count * hidden);
      kernels().add(state, top, count * hidden, sums.data());
      top = sums.data();
    } else {
      top = state;
    }
  }
  const int64_t joined_size = width + hidden + memory;
  Buffer<float> joined(count * joined_size), inner(count * width);
  for (int64_t r = 0; r < count; ++r) {
    float* to = joined.data() + r * joined_size;
    std::memcpy(to, embedded.data() + r * width, bytes(width));
    std::memcpy(to + width, top + r * hidden, bytes(hidden));
    std::memcpy(to + width + hidden, context.data() + r * memory, bytes(memory));
  }
  model_.hidden_.forward(joined.data(), count, inner.data(), Activation::kTanh);
  model_.output_.forward(inner.data(), count, logits);
}

/// context (rows, memory_size): additive attention (Bahdanau et al., 2015) of the states (rows, hidden_size).
void DeepRecurrentDecoder::attend(const StepRows& rows, const float* state, float* context, float* attention) {
  const KernelTable& table = kernels();
  const int64_t size = model_.memory_size();
  Buffer<float> queries(static_cast<int64_t>(rows.ids.size()) * size);
  model_.query_.forward(state, static_cast<int64_t>(rows.ids.size()), queries.data());
  for (std::size_t r = 0; r < rows.ids.size(); ++r) {
    const auto sentence = static_cast<std::size_t>(rows.sentences[r]);
    const int64_t begin = offsets_[sentence], length = offsets_[sentence + 1] - begin;
    const auto row = static_cast<int64_t>(r);
    float* weights = scores_.data();
    table.additive_scores(queries.data() + row * size, keys_.data() + begin * size, size, length, model_.score_.data(),
                          size, weights);
    table.softmax(weights, 1, length, weights);
    table.weighted_sum(weights, memory_.data() + begin * size, size, length, size, context + row * size);
    if (attention == nullptr || length == 0) continue;
    std::memcpy(attention, weights, bytes(length));
    attention += length;
  }
}

}  // namespace fastseq
