#include "search/sample.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "search/sampling.h"

namespace fastseq {

SampleSearch::SampleSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals)
    : Search(batch_size, options, originals, /*normalised=*/false),
      samples_(ids().size()),
      ended_(static_cast<std::size_t>(batch_size)) {
  if (options.num_beams != 1) {
    throw std::invalid_argument("num_beams is " + std::to_string(options.num_beams) + "; expected 1 for sampling");
  }
}

void SampleSearch::append_tokens(int64_t row, std::vector<int32_t>& tokens) const {
  const std::vector<int32_t>& own = samples_[static_cast<std::size_t>(row)].tokens;
  tokens.insert(tokens.end(), own.begin(), own.end());
}

void SampleSearch::extend() {
  begin_rows();
  std::swap(previous_samples_, samples_);
  samples_.clear();
  std::vector<RowScores::Entry> possible;
  for (int64_t row = 0; row < previous_rows(); ++row) {
    const int64_t sentence = previous_sentence(row);
    Sample& sample = previous_samples_[static_cast<std::size_t>(row)];
    if (is_forced(sentence)) {
      sample.tokens.push_back(forced_token(sentence));
      add_row(sample.tokens.back(), row, sentence);
      samples_.push_back(std::move(sample));
      continue;
    }
    selection_.scores(row).list_possible(possible);
    const bool is_first = length_ == prompt_length(sentence) + 1;
    const int64_t copies = is_first ? options_.num_return_sequences : 1;
    for (int64_t copy = 0; copy < copies; ++copy) {
      extend_sample({is_first ? copy : sample.index, sample.tokens, sample.sum}, row, possible);
    }
  }
}

void SampleSearch::extend_sample(Sample sample, int64_t row, std::span<const RowScores::Entry> possible) {
  const int64_t sentence = previous_sentence(row);
  if (possible.empty()) {  // every token that has a probability is forbidden
    end_sample(sample, row, kNoToken);
    return;
  }
  const int32_t token = draw(possible, random(sentence, sample.index, 0));
  sample.sum += selection_.log_probability(row, token);
  const bool finished = options_.is_eos(token);
  if (!finished) sample.tokens.push_back(token);
  if (finished || length_ >= max_length(sentence)) {
    end_sample(sample, row, token);
  } else {
    add_row(token, row, sentence);
    samples_.push_back(std::move(sample));
  }
}

void SampleSearch::end_sample(const Sample& sample, int64_t row, int64_t token) {
  const int64_t sentence = previous_sentence(row);
  const bool finished = token != kNoToken && options_.is_eos(token);
  const float score = final_score(row, sample.sum, divisor(sentence, token == kNoToken ? 1 : 0));
  std::vector<Hypothesis>& all = ended_[static_cast<std::size_t>(sentence)];
  all.push_back({sample.tokens, score, finished, ended(row, sample.sum, score, finished, token)});
  if (static_cast<int64_t>(all.size()) < options_.num_return_sequences) return;
  std::stable_sort(all.begin(), all.end(), [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  finish(sentence, std::move(all));
}

}  // namespace fastseq
