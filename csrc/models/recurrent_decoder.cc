#include "models/recurrent_decoder.h"

#include <cstring>

namespace fastseq {
RecurrentDecoder::RecurrentDecoder(const RecurrentSeq2Seq& model, const Ragged& source, Buffer<float> memory,
                                   Buffer<float> hidden, Buffer<float> cell)
    : model_(model),
      memory_(source, std::move(memory), model.memory_size()),
      rows_(source.batch_size),
      hidden_(std::move(hidden)),
      cell_(std::move(cell)) {
  const AttentionKind kind = model.config_.attention;
  if (kind == AttentionKind::kGeneral || kind == AttentionKind::kAdditive) {
    Buffer<float> keys(source.tokens() * model.keys_.out_features());
    model.keys_.forward(memory_.data(), source.tokens(), keys.data());
    memory_.set_keys(std::move(keys), model.keys_.out_features());
  }
  if (model.attends() || model.config_.input_feeding)
    attentional_ = Buffer<float>::zeros(rows_ * model.config_.decoder_hidden_size);
}

/// Row r of each state becomes what row parents[r] was.
void RecurrentDecoder::reorder(const StepRows& rows) {
  const auto count = static_cast<int64_t>(rows.ids.size());
  bool unchanged = count == rows_;
  for (int64_t r = 0; unchanged && r < count; ++r) unchanged = rows.parents[static_cast<std::size_t>(r)] == r;
  if (unchanged) return;
  const int64_t hidden = model_.config_.decoder_hidden_size;
  const auto take = [&](Buffer<float>& states, int64_t layers) {
    next_.reserve_discard(layers * count * hidden);
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (int64_t r = 0; r < count; ++r) {
        const int64_t parent = rows.parents[static_cast<std::size_t>(r)];
        std::memcpy(next_.data() + (layer * count + r) * hidden, states.data() + (layer * rows_ + parent) * hidden,
                    bytes(hidden));
      }
    }
    std::swap(states, next_);
  };
  take(hidden_, model_.config_.decoder_num_layers);
  if (cell_.size() > 0) take(cell_, model_.config_.decoder_num_layers);
  if (model_.config_.input_feeding) take(attentional_, 1);
  rows_ = count;
}

void RecurrentDecoder::step(const StepRows& rows, float* logits, float* attention) {
  reorder(rows);
  const RecurrentSeq2SeqConfig& config = model_.config_;
  const int64_t hidden = config.decoder_hidden_size;
  const RecurrentInput input = model_.target_gates_.empty() ? RecurrentInput(embed(rows))
                                                            : RecurrentInput(rows.ids.data(), model_.target_gates_);
  model_.decoder_.step(input, rows_, hidden_.data(), cell_.size() > 0 ? cell_.data() : nullptr);
  const float* top = hidden_.data() + (config.decoder_num_layers - 1) * rows_ * hidden;
  if (!model_.attends() && config.input_feeding) {
    attentional_.reserve_discard(rows_ * hidden);
    std::memcpy(attentional_.data(), top, bytes(rows_ * hidden));
  }
  model_.output_.forward(model_.attends() ? attend(rows, top, attention) : top, rows_, logits);
}

/// What the decoder reads of every row: the embedding, and what is fed.
const float* RecurrentDecoder::embed(const StepRows& rows) {
  const RecurrentSeq2SeqConfig& config = model_.config_;
  const int64_t hidden = config.decoder_hidden_size, embedding = config.target_embedding_size;
  const int64_t width = model_.decoder_.input_size();
  input_.reserve_discard(rows_ * width);
  for (int64_t r = 0; r < rows_; ++r) {
    float* to = input_.data() + r * width;
    const int64_t id = rows.ids[static_cast<std::size_t>(r)];
    std::memcpy(to, model_.target_embedding_.data() + id * embedding, bytes(embedding));
    if (config.input_feeding) std::memcpy(to + embedding, attentional_.data() + r * hidden, bytes(hidden));
  }
  return input_.data();
}

/// The attentional state of every row (rows_, decoder_hidden_size) from the top hidden state.
const float* RecurrentDecoder::attend(const StepRows& rows, const float* top, float* attention) {
  const int64_t hidden = model_.config_.decoder_hidden_size, memory = model_.memory_size(), width = memory + hidden;
  const bool additive = model_.config_.attention == AttentionKind::kAdditive;
  const float* queries = top;
  if (additive) {
    query_.reserve_discard(rows_ * model_.query_.out_features());
    model_.query_.forward(top, rows_, query_.data());
    queries = query_.data();
  }
  joined_.reserve_discard(rows_ * width);
  memory_.attend(rows, queries, additive ? model_.score_.data() : nullptr, joined_.data(), width, attention);
  for (int64_t r = 0; r < rows_; ++r) {
    std::memcpy(joined_.data() + r * width + memory, top + r * hidden, bytes(hidden));
  }
  attentional_.reserve_discard(rows_ * hidden);
  model_.combine_.forward(joined_.data(), rows_, attentional_.data(), model_.config_.combine_activation);
  return attentional_.data();
}

}  // namespace fastseq
