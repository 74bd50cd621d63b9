#include "models/recurrent_decoder.h"

#include <algorithm>
#include <cstring>

namespace fastseq {
namespace {

std::size_t bytes(int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

}  // namespace

RecurrentDecoder::RecurrentDecoder(const RecurrentSeq2Seq& model, const Ragged& source, Buffer<float> memory,
                                   Buffer<float> hidden, Buffer<float> cell)
    : model_(model),
      offsets_(source.offsets, source.offsets + source.batch_size + 1),
      memory_(std::move(memory)),
      rows_(source.batch_size),
      hidden_(std::move(hidden)),
      cell_(std::move(cell)) {
  const AttentionKind kind = model.config_.attention;
  if (kind == AttentionKind::kGeneral || kind == AttentionKind::kAdditive) {
    keys_ = Buffer<float>(source.tokens() * model.keys_.out_features());
    model.keys_.forward(memory_.data(), source.tokens(), keys_.data());
  }
  if (model.attends() || model.config_.input_feeding)
    attentional_ = Buffer<float>::zeros(rows_ * model.config_.decoder_hidden_size);
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  scores_ = Buffer<float>(longest);
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
  const int64_t hidden = config.decoder_hidden_size, embedding = config.target_embedding_size;
  const int64_t width = model_.decoder_.input_size();
  input_.reserve_discard(rows_ * width);
  for (int64_t r = 0; r < rows_; ++r) {
    float* to = input_.data() + r * width;
    const int64_t id = rows.ids[static_cast<std::size_t>(r)];
    std::memcpy(to, model_.target_embedding_.data() + id * embedding, bytes(embedding));
    if (config.input_feeding) std::memcpy(to + embedding, attentional_.data() + r * hidden, bytes(hidden));
  }
  model_.decoder_.step(input_.data(), rows_, hidden_.data(), cell_.size() > 0 ? cell_.data() : nullptr);
  const float* top = hidden_.data() + (config.decoder_num_layers - 1) * rows_ * hidden;
  if (!model_.attends() && config.input_feeding) {
    attentional_.reserve_discard(rows_ * hidden);
    std::memcpy(attentional_.data(), top, bytes(rows_ * hidden));
  }
  model_.output_.forward(model_.attends() ? attend(rows, top, attention) : top, rows_, logits);
}

/// The attentional state of every row (rows_, decoder_hidden_size) from the top hidden state.
const float* RecurrentDecoder::attend(const StepRows& rows, const float* top, float* attention) {
  const KernelTable& kernels = *model_.kernels_;
  const int64_t hidden = model_.config_.decoder_hidden_size, memory = model_.memory_size();
  const bool additive = model_.config_.attention == AttentionKind::kAdditive;
  const float* queries = top;
  if (additive) {
    query_.reserve_discard(rows_ * model_.query_.out_features());
    model_.query_.forward(top, rows_, query_.data());
    queries = query_.data();
  }
  const int64_t key_size = keys_.size() > 0 || additive ? model_.keys_.out_features() : memory;
  const int64_t query_size = model_.config_.attention == AttentionKind::kDot ? memory : key_size;
  const float* all_keys = model_.config_.attention == AttentionKind::kDot ? memory_.data() : keys_.data();
  joined_.reserve_discard(rows_ * (memory + hidden));
  for (int64_t r = 0; r < rows_; ++r) {
    const auto sentence = static_cast<std::size_t>(rows.sentences[static_cast<std::size_t>(r)]);
    const int64_t begin = offsets_[sentence], length = offsets_[sentence + 1] - begin;
    const float* query = queries + r * query_size;
    float* weights = scores_.data();
    if (additive) {
      kernels.additive_scores(query, all_keys + begin * query_size, query_size, length, model_.score_.data(),
                              query_size, weights);
    } else {
      kernels.dot_scores(query, all_keys + begin * query_size, query_size, length, query_size, weights);
    }
    kernels.softmax(weights, 1, length, weights);
    float* joined = joined_.data() + r * (memory + hidden);
    kernels.weighted_sum(weights, memory_.data() + begin * memory, memory, length, memory, joined);
    std::memcpy(joined + memory, top + r * hidden, bytes(hidden));
    if (attention != nullptr && length > 0) {
      std::memcpy(attention, weights, bytes(length));
      attention += length;
    }
  }
  attentional_.reserve_discard(rows_ * hidden);
  model_.combine_.forward(joined_.data(), rows_, attentional_.data(), model_.config_.combine_activation);
  return attentional_.data();
}

}  // namespace fastseq
