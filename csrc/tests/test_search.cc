#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "search/beam.h"
#include "search/greedy.h"
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

/// Runs a search whose logits depend on the last token only: row `id` of `table` (kVocab, kVocab).
std::vector<std::vector<Hypothesis>> run(Search& search, const std::vector<float>& table) {
  std::vector<float> logits;
  while (!search.done()) {
    logits.clear();
    for (const int32_t id : search.ids()) {
      const auto row = table.begin() + id * kVocab;
      logits.insert(logits.end(), row, row + kVocab);
    }
    search.advance(logits.data(), static_cast<int64_t>(search.ids().size()), kVocab);
  }
  return search.result();
}

std::vector<float> log_table(const std::vector<double>& probabilities) {
  std::vector<float> table;
  for (const double p : probabilities) table.push_back(static_cast<float>(std::log(p)));
  return table;
}

// Greedy takes 1 and ends with 0.6 * 0.4 = 0.24; by 2 there is 0.4 * 0.9 = 0.36.
const std::vector<float> kGarden = log_table({0, .6, .4, 0, 0, .3, .3, .4, 0, .05, .05, .9, 1, 0, 0, 0});

bool near(float a, double b) { return std::fabs(a - b) < 1e-6; }

std::string text(const std::vector<int32_t>& tokens) {
  std::string joined;
  for (const int32_t token : tokens) joined += std::to_string(token) + ' ';
  return joined;
}

}  // namespace

TEST(token_tree_gives_the_path_of_a_node) {
  TokenTree tree;
  const int64_t a = tree.append(TokenTree::kRoot, 7);
  const int64_t b = tree.append(a, 8);
  const int64_t c = tree.append(a, 9);
  CHECK_EQ(text(tree.path(b)), "7 8 ");
  CHECK_EQ(text(tree.path(c)), "7 9 ");
  CHECK_EQ(text(tree.path(TokenTree::kRoot)), "");
}

TEST(hypothesis_pool_keeps_the_best_and_the_first_of_equals) {
  TokenTree tree;
  HypothesisPool pool(2);
  CHECK(pool.empty());
  for (const float score : {-3.0F, -1.0F, -3.0F, -2.0F, -2.0F}) {
    pool.add({score, tree.append(TokenTree::kRoot, static_cast<int32_t>(pool.full())), true});
  }
  CHECK(pool.full());
  CHECK(near(pool.worst_score(), -2.0));
  CHECK(!pool.accepts(-2.0F));
  CHECK(pool.accepts(-1.5F));
  const auto best = pool.best(5, tree);
  CHECK_EQ(best.size(), 2U);
  CHECK(near(best[0].score, -1.0));
}

TEST(beam_search_finds_what_greedy_search_misses) {
  SearchOptions options = make_options(1, 10);
  options.length_penalty = 0.0;
  GreedySearch greedy(1, options);
  const auto first = run(greedy, kGarden)[0];
  CHECK_EQ(text(first[0].tokens), "1 ");
  CHECK(near(first[0].score, std::log(0.24)));
  options.num_beams = 2;
  BeamSearch beam(1, options);
  const auto best = run(beam, kGarden)[0];
  CHECK_EQ(best.size(), 1U);
  CHECK_EQ(text(best[0].tokens), "2 ");
  CHECK(near(best[0].score, std::log(0.36)));
  CHECK(best[0].finished);
}

TEST(make_search_is_greedy_for_one_beam) {
  CHECK(dynamic_cast<GreedySearch*>(make_search(1, make_options(1, 5)).get()) != nullptr);
  CHECK(dynamic_cast<BeamSearch*>(make_search(1, make_options(2, 5)).get()) != nullptr);
}

TEST(the_first_step_has_one_row_a_sentence_and_the_next_its_beams) {
  BeamSearch search(2, make_options(2, 5));
  CHECK_EQ(search.ids().size(), 2U);
  CHECK_EQ(search.parents()[1], 1);
  std::vector<float> logits(kGarden.begin(), kGarden.begin() + kVocab);
  logits.insert(logits.end(), kGarden.begin(), kGarden.begin() + kVocab);
  search.advance(logits.data(), 2, kVocab);
  const std::vector<int64_t> parents(search.parents().begin(), search.parents().end());
  const std::vector<int64_t> sentences(search.sentences().begin(), search.sentences().end());
  CHECK((parents == std::vector<int64_t>{0, 0, 1, 1}));
  CHECK((sentences == std::vector<int64_t>{0, 0, 1, 1}));
  CHECK_EQ(search.ids()[0], 1);
  CHECK_EQ(search.ids()[1], 2);
}

TEST(max_length_cuts_and_min_length_delays) {
  SearchOptions options = make_options(2, 3);
  options.min_length = 3;
  BeamSearch search(1, options);
  const auto results = run(search, kGarden);
  for (const Hypothesis& hypothesis : results[0]) {
    CHECK_EQ(hypothesis.tokens.size(), 2U);
    CHECK(!hypothesis.finished);
  }
}

TEST(every_instruction_set_gives_the_same_hypotheses) {
  constexpr int64_t kLarge = 1000;
  const std::string before = kernels().isa;
  std::vector<std::vector<std::vector<Hypothesis>>> results;
  for (const auto isa : available_isas()) {
    use_isa(isa);
    SearchOptions options = make_options(4, 12);
    BeamSearch search(3, options);
    std::vector<float> logits;
    for (uint32_t step = 0; !search.done(); ++step) {
      logits.clear();
      for (const int32_t id : search.ids()) {
        uint32_t state = 977U * static_cast<uint32_t>(id) + step;
        for (int64_t i = 0; i < kLarge; ++i) {
          state = state * 1664525U + 1013904223U;
          logits.push_back(static_cast<float>(state >> 8) * 1e-6F);
        }
      }
      search.advance(logits.data(), static_cast<int64_t>(search.ids().size()), kLarge);
    }
    results.push_back(search.result());
  }
  use_isa(before);
  for (const auto& result : results) {
    for (std::size_t s = 0; s < result.size(); ++s) {
      CHECK_EQ(result[s].size(), 4U);
      for (std::size_t i = 0; i < result[s].size(); ++i) {
        CHECK_EQ(text(result[s][i].tokens), text(results[0][s][i].tokens));
        CHECK_EQ(result[s][i].score, results[0][s][i].score);
      }
    }
  }
}

TEST(searches_without_steps) {
  CHECK(BeamSearch(0, make_options(3, 5)).done());
  BeamSearch shortest(2, make_options(3, 1));
  CHECK(shortest.done());
  CHECK_EQ(shortest.result().size(), 2U);
  CHECK(shortest.result()[0][0].tokens.empty());
}

TEST(what_a_search_refuses) {
  CHECK_THROWS(std::invalid_argument, BeamSearch(-1, make_options(2, 5)));
  CHECK_THROWS(std::invalid_argument, BeamSearch(1, make_options(0, 5)));
  CHECK_THROWS(std::invalid_argument, BeamSearch(1, make_options(2, 0)));
  CHECK_THROWS(std::invalid_argument, GreedySearch(1, make_options(2, 5)));
  BeamSearch search(1, make_options(2, 5));
  std::vector<float> logits = {0.0F, 1.0F, std::numeric_limits<float>::quiet_NaN(), 0.0F};
  CHECK_THROWS(std::invalid_argument, search.advance(logits.data(), 1, kVocab));
  CHECK_THROWS(std::invalid_argument, search.advance(kGarden.data(), 2, kVocab));
  CHECK_THROWS(std::invalid_argument, search.advance(kGarden.data(), 1, kEos));
  CHECK_THROWS(std::invalid_argument, search.result());
  CHECK_EQ(search.ids().size(), 1U);
}
