#include "models/decoding.h"

#include <algorithm>
#include <stdexcept>

namespace fastseq {

Decoding::Decoding(const Seq2Seq& model, const Ragged& source, const SearchOptions& options,
                   const OutputOptions& outputs, bool stepwise, std::span<const int64_t> originals)
    : vocab_size_(model.target_vocab_size()),
      attends_(outputs.attention || options.coverage_penalty != 0.0),
      search_(make_search(source.batch_size, options, originals)),
      outputs_(outputs),
      stream_(*search_) {
  if (attends_ && !model.attends()) {
    throw std::invalid_argument("return_attention or coverage_penalty needs attention; this model has none");
  }
  for (int64_t b = 0; b < source.batch_size; ++b) source_lengths_.push_back(source.length(b));
  if (stepwise || outputs.any()) search_->keep_trace();
  if (!search_->done()) decoder_ = model.start(source);
}

void Decoding::step() {
  if (done()) return;
  const StepRows rows{search_->ids(), search_->parents(), search_->sentences()};
  const auto count = static_cast<int64_t>(rows.ids.size());
  logits_.reserve_discard(count * vocab_size_);
  source_sizes_.clear();
  if (attends_) {
    int64_t weights = 0;
    for (const int64_t sentence : rows.sentences) {
      source_sizes_.push_back(source_lengths_[static_cast<std::size_t>(sentence)]);
      weights += source_sizes_.back();
    }
    attention_.reserve_discard(std::max<int64_t>(weights, 1));
  }
  float* attention = attends_ ? attention_.data() : nullptr;
  decoder_->step(rows, logits_.data(), attention);
  search_->advance(logits_.data(), count, vocab_size_, attention, source_sizes_);
  outputs_.add(logits_.data(), count, vocab_size_, attention, source_sizes_);
}

}  // namespace fastseq
