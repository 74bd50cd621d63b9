#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "search/beam.h"
#include "search/greedy.h"
#include "search/outputs.h"
#include "search/stream.h"
#include "testing.h"

using namespace fastseq;

namespace {

constexpr int64_t kVocab = 4;
constexpr int32_t kEos = 3;

SearchOptions make_options(int64_t num_beams, int64_t max_length) {
  SearchOptions options;
  options.num_beams = num_beams;
  options.num_return_sequences = num_beams;
  options.max_length = max_length;
  options.eos_ids = {kEos};
  return options;
}

/// Logits that depend on the last token only: log of row `id` of a table of probabilities.
std::vector<float> logits_of(const Search& search) {
  static const double table[kVocab][kVocab] = {
      {0, .6, .4, 0}, {0, .3, .3, .4}, {0, .05, .05, .9}, {.25, .25, .25, .25}};
  std::vector<float> logits;
  for (const int32_t id : search.ids()) {
    for (const double p : table[id]) logits.push_back(static_cast<float>(std::log(p)));
  }
  return logits;
}

void step(Search& search, StepOutputs* outputs = nullptr) {
  const std::vector<float> logits = logits_of(search);
  const auto rows = static_cast<int64_t>(search.ids().size());
  std::vector<float> attention;
  for (const int32_t id : search.ids()) attention.insert(attention.end(), {static_cast<float>(id), 1.0F});
  search.advance(logits.data(), rows, kVocab);
  const std::vector<int64_t> sizes(static_cast<std::size_t>(rows), 2);
  if (outputs != nullptr) outputs->add(logits.data(), rows, kVocab, attention.data(), sizes);
}

bool near(float a, double b) { return std::fabs(a - b) < 1e-6; }

}  // namespace

TEST(trace_tells_log_probabilities_and_outputs_of_each_token) {
  OutputOptions wanted;
  wanted.token_log_probs = wanted.attention = wanted.logits = true;
  wanted.top_logits = 2;
  BeamSearch search(2, make_options(2, 5));
  search.keep_trace();
  StepOutputs outputs(wanted);
  while (!search.done()) step(search, &outputs);
  const auto answers = outputs.answers(search.result(), search.trace());
  CHECK(answers.size() == 2);
  const auto& [hypothesis, kept] = answers[1][0];
  CHECK(hypothesis.tokens == std::vector<int32_t>{2} && hypothesis.finished);
  CHECK(kept.token_log_probs.size() == 2);
  CHECK(near(kept.token_log_probs[0], std::log(.4)) && near(kept.token_log_probs[1], std::log(.9)));
  CHECK(kept.attention == (std::vector<float>{0, 1, 2, 1}));
  CHECK(kept.logits.size() == 2 * kVocab && near(kept.logits[7], std::log(.9)));
  CHECK(kept.top_tokens == (std::vector<int64_t>{1, 2, 3, 1}));
  CHECK(near(kept.top_logits[0], std::log(.6)));
}

TEST(a_greedy_stream_tells_every_token_at_once) {
  GreedySearch search(1, make_options(1, 5));
  search.keep_trace();
  TokenStream stream(search);
  CHECK(stream.read(search).empty());
  step(search);
  auto news = stream.read(search);
  CHECK(news.size() == 1 && news[0].tokens == std::vector<int32_t>{1} && !news[0].done);
  CHECK(stream.read(search).empty());
  step(search);
  news = stream.read(search);
  CHECK(search.done() && news.size() == 1 && news[0].tokens.empty() && news[0].done);
  CHECK(stream.read(search).empty());
}

TEST(a_beam_stream_waits_for_the_beams_and_the_best_that_has_ended) {
  BeamSearch search(1, make_options(2, 6));
  search.keep_trace();
  TokenStream stream(search);
  step(search);  // beams 1 and 2: nothing is certain
  CHECK(stream.read(search).empty());
  std::vector<int32_t> told;
  bool done = false;
  while (!search.done()) {
    step(search);
    for (const auto& news : stream.read(search)) {
      told.insert(told.end(), news.tokens.begin(), news.tokens.end());
      done = news.done;
    }
  }
  CHECK(done && told == search.hypotheses(0).front().tokens);
}

TEST(stopping_takes_what_has_ended_and_what_runs) {
  SearchOptions options = make_options(2, 9);
  options.early_stopping = EarlyStopping::kNever;
  BeamSearch search(1, options);
  search.keep_trace();
  step(search);
  step(search);
  CHECK(!search.done());
  search.stop();
  CHECK(search.done());
  const std::vector<Hypothesis> found = search.result()[0];
  CHECK(found.size() == 2);
  CHECK(found[0].finished && found[0].tokens == std::vector<int32_t>{2});
  const std::vector<float> log_probs = search.trace()->token_log_probs(found[1]);
  float sum = 0;
  for (const float value : log_probs) sum += value;
  CHECK(near(sum / static_cast<float>(log_probs.size()), found[1].score));
}

TEST(a_search_without_a_trace_cannot_be_stopped) {
  BeamSearch search(1, make_options(2, 9));
  CHECK_THROWS(std::logic_error, search.stop());
  step(search);
  CHECK_THROWS(std::logic_error, search.keep_trace());
}
