#include "search/search.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "search/beam.h"
#include "search/constrained_beam.h"
#include "search/greedy.h"
#include "search/sample.h"
#include "search/sampling.h"

namespace fastseq {

Search::Search(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals, bool normalised)
    : options_(options),
      selection_(options_, normalised),
      coverage_(options.coverage_penalty),
      originals_(originals.begin(), originals.end()) {
  if (originals.empty()) check_options(options_, batch_size);
  results_.resize(static_cast<std::size_t>(batch_size));
  for (int64_t sentence = 0; sentence < batch_size; ++sentence) {
    const std::vector<int32_t>* prefix = options_.prefix(original(sentence));
    prompt_lengths_.push_back(prefix == nullptr ? 1 : 1 + static_cast<int64_t>(prefix->size()));
    if (max_length(sentence) == 1) {
      finish(sentence, {Hypothesis{}});
    } else {
      add_row(options_.given(original(sentence)).back(), sentence, sentence);
    }
  }
}

void Search::advance(const float* logits, int64_t rows, int64_t vocab_size, const float* attention,
                     std::span<const int64_t> sizes) {
  const auto expected = static_cast<int64_t>(ids_.size());
  if (rows != expected) {
    throw std::invalid_argument("logits have " + std::to_string(rows) + " rows; expected one for each of the " +
                                std::to_string(expected) + " live rows");
  }
  if (done()) return;
  if (vocab_size < 1 || (vocab_size_ != 0 && vocab_size != vocab_size_)) {
    const std::string wanted = vocab_size_ == 0 ? "at least 1" : std::to_string(vocab_size_) + " as before";
    throw std::invalid_argument("logits have " + std::to_string(vocab_size) + " columns; expected " + wanted);
  }
  if (vocab_size_ == 0) check_vocabulary(options_, vocab_size);
  const auto num_eos = static_cast<int64_t>(options_.eos_ids.size());
  describe_rows();
  selection_.read(logits, vocab_size, continuations() + num_eos, running_scores(), contexts_);
  if (coverage_.wanted()) {
    std::vector<int64_t> called;
    for (const RowContext& context : contexts_) called.push_back(context.sentence);
    coverage_.add(attention, sizes, parents_, called);
  }
  vocab_size_ = vocab_size;
  ++length_;
  extend();
  if (trace_ != nullptr) trace_step();
}

double Search::random(int64_t sentence, int64_t stream, int64_t number) const {
  return uniform(options_.seed(original(sentence)), static_cast<uint64_t>(stream), static_cast<uint64_t>(length_),
                 static_cast<uint64_t>(number));
}

void Search::describe_rows() {
  contexts_.resize(ids_.size());
  if (selection_.needs_ids() && row_ids_.size() < ids_.size()) row_ids_.resize(ids_.size());
  for (std::size_t row = 0; row < ids_.size(); ++row) {
    const int64_t sentence = sentences_[row];
    const int64_t before = tokens_before(sentence);
    RowContext& context = contexts_[row];
    context.sentence = original(sentence);
    context.length = before + length_;
    context.prompt_length = before + prompt_length(sentence);
    context.max_length = before + max_length(sentence);
    context.is_forced = length_ < prompt_length(sentence);
    if (!selection_.needs_ids()) continue;
    const std::span<const int32_t> given = options_.given(context.sentence);
    row_ids_[row].assign(given.begin(), given.end());
    append_tokens(static_cast<int64_t>(row), row_ids_[row]);
    context.ids = row_ids_[row];
  }
}

std::vector<std::vector<Hypothesis>> Search::result() const {
  if (!done()) throw std::invalid_argument("result: the search is not done; advance it until it is");
  return results_;
}

void Search::begin_rows() {
  std::swap(previous_sentences_, sentences_);
  ids_.clear();
  parents_.clear();
  sentences_.clear();
}

void Search::add_row(int32_t id, int64_t parent, int64_t sentence) {
  ids_.push_back(id);
  parents_.push_back(parent);
  sentences_.push_back(sentence);
}

void Search::finish(int64_t sentence, std::vector<Hypothesis> hypotheses) {
  results_[static_cast<std::size_t>(sentence)] = std::move(hypotheses);
}

LastRow Search::ended(int64_t row, float sum, float score, bool finished, int64_t token) {
  const LastRow last{length_ - 2, row, sum};
  if (trace_ != nullptr) trace_->add_ending({previous_sentence(row), last, score, finished, token});
  return last;
}

void Search::keep_trace() {
  if (length_ != 1) throw std::logic_error("keep_trace: the search has begun");
  if (trace_ != nullptr) return;
  trace_ = std::make_unique<SearchTrace>();
  trace_step();
}

void Search::trace_step() {
  if (done()) return;
  SearchTrace::Step step{ids_, parents_, sentences_, {}};
  for (int64_t row = 0; row < static_cast<int64_t>(ids_.size()); ++row) step.sums.push_back(row_sum(row));
  trace_->add_step(std::move(step));
}

void Search::stop() {
  if (trace_ == nullptr) throw std::logic_error("stop: the search keeps no trace");
  for (int64_t row = 0; row < static_cast<int64_t>(ids_.size());) {
    const int64_t sentence = sentences_[static_cast<std::size_t>(row)];
    std::vector<Hypothesis> hypotheses = trace_->ended(sentence);
    const float power = divisor(sentence);
    for (; row < static_cast<int64_t>(ids_.size()) && sentences_[static_cast<std::size_t>(row)] == sentence; ++row) {
      const LastRow last{length_ - 1, row, row_sum(row)};
      const float score = final_score(parents_[static_cast<std::size_t>(row)], last.sum, power);
      hypotheses.push_back({trace_->read_tokens(last), score, false, last});
    }
    std::stable_sort(hypotheses.begin(), hypotheses.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    const auto most = static_cast<std::size_t>(options_.num_return_sequences);
    if (hypotheses.size() > most) hypotheses.resize(most);
    finish(sentence, std::move(hypotheses));
  }
  begin_rows();
}

std::unique_ptr<Search> make_search(int64_t batch_size, const SearchOptions& options,
                                    std::span<const int64_t> originals) {
  if (!options.force_words_ids.empty()) return std::make_unique<ConstrainedBeamSearch>(batch_size, options, originals);
  if (options.num_beams > 1 || options.return_alternatives) {
    return std::make_unique<BeamSearch>(batch_size, options, originals);
  }
  if (options.sampling.do_sample) return std::make_unique<SampleSearch>(batch_size, options, originals);
  return std::make_unique<GreedySearch>(batch_size, options, originals);
}

}  // namespace fastseq
