#include "models/deep_recurrent_decoder.h"

#include <cstring>

namespace fastseq {
DeepRecurrentDecoder::DeepRecurrentDecoder(const DeepRecurrentSeq2Seq& model, const Ragged& source,
                                           Buffer<float> memory, const Buffer<float>& start)
    : model_(model), memory_(source, std::move(memory), model.memory_size()) {
  Buffer<float> keys(source.tokens() * model.memory_size());
  model.keys_.forward(memory_.data(), source.tokens(), keys.data());
  memory_.set_keys(std::move(keys), model.memory_size());
  const auto copies = [&](std::vector<Buffer<float>>& states) {
    for (int64_t layer = 0; layer < model.config_.decoder_num_layers; ++layer) {
      std::memcpy(states.emplace_back(start.size()).data(), start.data(), bytes(start.size()));
    }
  };
  copies(states_);
  if (model.config_.decoder_cell.has_cell()) copies(cells_);
}

void DeepRecurrentDecoder::step(const StepRows& rows, float* logits, float* attention) {
  const DeepRecurrentSeq2SeqConfig& config = model_.config_;
  const int64_t hidden = config.hidden_size, width = config.embedding_size, memory = config.memory_size();
  const auto count = static_cast<int64_t>(rows.ids.size());
  if (count == 0) return;
  const auto reorder = [&](Buffer<float>& state) {
    Buffer<float> next(count * hidden);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t parent = rows.parents[static_cast<std::size_t>(r)];
      std::memcpy(next.data() + r * hidden, state.data() + parent * hidden, bytes(hidden));
    }
    state = std::move(next);
  };
  for (Buffer<float>& state : states_) reorder(state);
  for (Buffer<float>& cell : cells_) reorder(cell);
  const auto cell_of = [&](std::size_t layer) { return cells_.empty() ? nullptr : cells_[layer].data(); };
  Buffer<float> embedded(count * width), context(count * memory), queries(count * memory);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t id = rows.ids[static_cast<std::size_t>(r)];
    std::memcpy(embedded.data() + r * width, model_.target_embedding_.data() + id * width, bytes(width));
  }
  float* base = states_.front().data();
  model_.before_.step(embedded.data(), count, base, cell_of(0));
  model_.query_.forward(base, count, queries.data());
  memory_.attend(rows, queries.data(), model_.score_.data(), context.data(), memory, attention);
  model_.after_.step(context.data(), count, base, cell_of(0));
  const float* top = base;
  Buffer<float> sums;  // output of a layer that adds its input; a later one adds to it
  for (std::size_t i = 0; i < model_.high_.size(); ++i) {
    float* state = states_[i + 1].data();
    model_.high_[i].step(top, count, state, cell_of(i + 1));
    if (config.skip) {
      sums.reserve_discard(count * hidden);
      kernels().add(state, top, count * hidden, sums.data());
      top = sums.data();
    } else {
      top = state;
    }
  }
  Buffer<float> inner(count * width);
  model_.hidden_.forward(embedded.data(), top, context.data(), count, inner.data());
  model_.output_.forward(inner.data(), count, logits);
}

}  // namespace fastseq
