#include "search/greedy.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastseq {

GreedySearch::GreedySearch(int64_t batch_size, const SearchOptions& options)
    : Search(batch_size, options),
      tokens_(static_cast<std::size_t>(batch_size)),
      sums_(static_cast<std::size_t>(batch_size), 0.0F) {
  if (options.num_beams != 1) {
    throw std::invalid_argument("num_beams is " + std::to_string(options.num_beams) + "; expected 1 for greedy search");
  }
}

void GreedySearch::extend() {
  begin_rows();
  const bool eos_allowed = length_ > options_.min_length;
  const bool last_step = length_ >= options_.max_length;
  const int64_t generated = length_ - 1;
  for (int64_t row = 0; row < previous_rows(); ++row) {
    const int64_t sentence = previous_sentence(row);
    std::vector<int32_t>& tokens = tokens_[static_cast<std::size_t>(sentence)];
    float& sum = sums_[static_cast<std::size_t>(sentence)];

    int64_t rank = 0;
    while (rank < selection_.width() && !eos_allowed && options_.is_eos(selection_.at(row, rank).token)) ++rank;
    if (rank == selection_.width() || std::isinf(selection_.at(row, rank).score)) {
      // Only end tokens have a probability, and none may come yet: the sentence can go no further.
      const float score = sum / length_divisor(generated - 1, options_.length_penalty);
      finish(sentence, {{std::move(tokens), score, false, ended(row, sum, score, false, kNoToken)}});
      continue;
    }
    const Candidate best = selection_.at(row, rank);
    sum += best.score;
    const bool finished = options_.is_eos(best.token);
    if (!finished) tokens.push_back(static_cast<int32_t>(best.token));
    if (finished || last_step) {
      const float score = sum / length_divisor(generated, options_.length_penalty);
      finish(sentence, {{std::move(tokens), score, finished, ended(row, sum, score, finished, best.token)}});
    } else {
      add_row(static_cast<int32_t>(best.token), row, sentence);
    }
  }
}

}  // namespace fastseq
