#include "search/greedy.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastseq {

// As in Hugging Face, processors see logits here and log-probabilities in beam search. The score is the model's own.
GreedySearch::GreedySearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals)
    : Search(batch_size, options, originals, /*normalised=*/false),
      tokens_(static_cast<std::size_t>(batch_size)),
      sums_(static_cast<std::size_t>(batch_size), 0.0F) {
  if (options.num_beams != 1) {
    throw std::invalid_argument("num_beams is " + std::to_string(options.num_beams) + "; expected 1 for greedy search");
  }
}

void GreedySearch::append_tokens(int64_t row, std::vector<int32_t>& tokens) const {
  const std::vector<int32_t>& own = tokens_[static_cast<std::size_t>(sentences()[static_cast<std::size_t>(row)])];
  tokens.insert(tokens.end(), own.begin(), own.end());
}

void GreedySearch::extend() {
  begin_rows();
  for (int64_t row = 0; row < previous_rows(); ++row) {
    const int64_t sentence = previous_sentence(row);
    std::vector<int32_t>& tokens = tokens_[static_cast<std::size_t>(sentence)];
    float& sum = sums_[static_cast<std::size_t>(sentence)];
    if (is_forced(sentence)) {
      tokens.push_back(forced_token(sentence));
      add_row(tokens.back(), row, sentence);
      continue;
    }
    const Candidate best = selection_.at(row, 0);
    if (std::isinf(best.score)) {
      // Every token that has a probability is forbidden: the sentence can go no further.
      const float score = final_score(row, sum, divisor(sentence, 1));
      finish(sentence, {{std::move(tokens), score, false, ended(row, sum, score, false, kNoToken)}});
      continue;
    }
    sum += selection_.log_probability(row, best.token);
    const bool finished = options_.is_eos(best.token);
    if (!finished) tokens.push_back(static_cast<int32_t>(best.token));
    if (finished || length_ >= max_length(sentence)) {
      const float score = final_score(row, sum, divisor(sentence));
      finish(sentence, {{std::move(tokens), score, finished, ended(row, sum, score, finished, best.token)}});
    } else {
      add_row(static_cast<int32_t>(best.token), row, sentence);
    }
  }
}

}  // namespace fastseq
