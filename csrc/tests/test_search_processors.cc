// Processors, scores of a row, random numbers and the automaton of constraints.
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "search/constrained_beam.h"
#include "search/constraints.h"
#include "search/processors.h"
#include "search/row_scores.h"
#include "search/sampling.h"
#include "testing.h"

using namespace fastseq;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

RowScores row_of(const std::vector<float>& logits) {
  RowScores scores;
  scores.reset(logits.data(), static_cast<int64_t>(logits.size()), false, 0.0F, 0.0F);
  return scores;
}

}  // namespace

TEST(row_scores_keep_only_changes_until_all_are_asked_for) {
  std::vector<float> logits(200);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i);
  RowScores scores = row_of(logits);
  for (int32_t token = 0; token < 150; token += 3) scores.set(token, -1.0F);
  scores.set(3, 5.0F);
  CHECK_EQ(scores.entries().size(), 50U);
  CHECK_EQ(scores.get(3), 5.0F);
  CHECK_EQ(scores.get(4), 4.0F);
  CHECK(!scores.is_dense());
  const std::span<float> all = scores.dense();
  CHECK_EQ(all[3], 5.0F);
  CHECK_EQ(all[4], 4.0F);
  CHECK_EQ(all[6], -1.0F);
  const std::vector<RowScores::Entry> kept = {{9, 1.5F}, {2, -kInfinity}};
  scores.keep_only(kept);
  std::vector<RowScores::Entry> possible;
  scores.list_possible(possible);
  CHECK_EQ(possible.size(), 1U);
  CHECK_EQ(possible[0].token, 9);
  CHECK_EQ(scores.get(4), -kInfinity);
}

TEST(random_numbers_depend_on_every_argument_and_lie_between_0_and_1) {
  std::set<double> seen;
  double sum = 0.0;
  for (uint64_t i = 0; i < 1000; ++i) {
    for (const double u :
         {uniform(i, 0, 0, 0), uniform(0, i + 1, 0, 0), uniform(0, 0, i + 1, 0), uniform(0, 0, 0, i + 1)}) {
      CHECK(u > 0.0 && u < 1.0);
      seen.insert(u);
      sum += u;
    }
  }
  CHECK_EQ(seen.size(), 4000U);
  CHECK(std::fabs(sum / 4000.0 - 0.5) < 0.03);
  CHECK_EQ(uniform(1, 2, 3, 4), uniform(1, 2, 3, 4));
}

TEST(automaton_falls_back_to_the_longest_beginning) {
  const PhraseAutomaton phrase({{1, 1, 2}});
  int32_t state = PhraseAutomaton::kStart;
  CHECK_EQ(phrase.distance(state), 3);
  for (const int32_t token : {1, 1, 1}) state = phrase.next(state, token);
  CHECK_EQ(phrase.distance(state), 1);  // 1 1 is still a beginning
  CHECK_EQ(phrase.distance(phrase.next(state, 3)), 3);
  CHECK_EQ(phrase.next(state, 2), PhraseAutomaton::kMet);
  std::vector<int32_t> tokens;
  phrase.append_advances(state, tokens);
  CHECK((tokens == std::vector<int32_t>{2}));
  const PhraseAutomaton either({{1, 2, 3}, {2, 4}});
  state = either.next(either.next(PhraseAutomaton::kStart, 1), 2);
  CHECK_EQ(either.distance(state), 1);  // by 3, or by 4 as the end of the other one
  CHECK_EQ(either.next(state, 4), PhraseAutomaton::kMet);
}

TEST(a_hook_that_throws_ends_the_step) {
  SearchOptions options;
  options.num_beams = 2;
  options.max_length = 5;
  auto hooks = std::make_shared<SearchHooks>();
  hooks->process = [](const int32_t*, float*, int64_t, int64_t, int64_t) { throw std::runtime_error("no"); };
  options.hooks = hooks;
  const std::unique_ptr<Search> search = make_search(1, options);
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F};
  CHECK_THROWS(std::runtime_error, search->advance(logits.data(), 1, 3));
}

TEST(constraints_that_cannot_be_met_are_an_error) {
  SearchOptions options;
  options.num_beams = 2;
  options.max_length = 3;
  options.force_words_ids = {{{1, 1, 1}}};
  ConstrainedBeamSearch search(1, options);
  const std::vector<float> logits(6, 0.0F);
  search.advance(logits.data(), 1, 3);
  CHECK_THROWS(std::invalid_argument, search.advance(logits.data(), 2, 3));
}
