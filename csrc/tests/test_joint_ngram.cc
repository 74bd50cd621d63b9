#include <cmath>
#include <stdexcept>
#include <vector>

#include "models/joint_ngram.h"
#include "testing.h"

using namespace fastseq;

namespace {

/// Units: start, end, letter 0 as phoneme 1, letter 0 silent, letter 1 as phonemes 1 1. N-grams: each unit, start
/// then unit 2, unit 2 then the end.
struct Example {
  std::vector<int32_t> sources{-1, -1, 0, 0, 1};
  std::vector<int32_t> targets{-1, -1, -1, -1, 1, -1, -1, -1, 1, 1};
  std::vector<int32_t> units{0, 0, 1, 2, 3, 4, 2, 1};
  std::vector<int32_t> num_children{5, 1, 0, 1, 0, 0, 0, 0};
  std::vector<float> log_probs{0, -9, -3, -2, -4, -5, -1, -0.5F};
  std::vector<float> backoffs{0, -0.25F, 0, -0.75F, 0, 0, 0, 0};

  JointNgram model() const { return {2, 2, {sources, targets, 2}, {units, num_children, log_probs, backoffs}}; }
};

float score(const JointNgram& model, const std::vector<int32_t>& source, const std::vector<int32_t>& target) {
  const int64_t source_offsets[] = {0, static_cast<int64_t>(source.size())};
  const int64_t target_offsets[] = {0, static_cast<int64_t>(target.size())};
  Cancellation cancellation([] { return false; });
  float result = 0;
  model.score({source.data(), source_offsets, 1}, {target.data(), target_offsets, 1}, &result, cancellation);
  return result;
}

bool near(float a, double b) { return std::fabs(static_cast<double>(a) - b) < 1e-6; }

template <typename Change>
bool refused(const Change& change) {
  Example example;
  change(example);
  try {
    example.model();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

TEST(joint_ngram_backs_off_and_sums_over_divisions) {
  const JointNgram model = Example().model();
  // start 2 is an n-gram, and so is 2 end.
  CHECK(near(score(model, {0}, {1}), -1 - 0.5));
  // start backs off to 3, which is no context of the end.
  CHECK(near(score(model, {0}, {}), -0.25 - 4 - 3));
  CHECK(near(score(model, {}, {}), -0.25 - 3));
  // 2 3, or 3 2: the first has start 2, then backs off from 2; the second ends with 2 end.
  CHECK(near(score(model, {0, 0}, {1}), std::log(std::exp(-1 - 0.75 - 4 - 3) + std::exp(-0.25 - 4 - 2 - 0.5))));
  CHECK(near(score(model, {1}, {1, 1}), -0.25 - 5 - 3));
  CHECK(std::isinf(score(model, {1}, {1})));
  CHECK(std::isinf(score(model, {}, {1})));
  CHECK(std::isinf(score(model, {0}, {0})));
}

TEST(joint_ngram_refuses_what_is_no_trie) {
  CHECK(!refused([](Example&) {}));
  CHECK(refused([](Example& e) { e.num_children[0] = 6; }));
  CHECK(refused([](Example& e) { e.num_children = {0, 5, 1, 1, 0, 0, 0, 0}; }));
  CHECK(refused([](Example& e) { e.num_children[7] = 1; }));
  CHECK(refused([](Example& e) { e.units[6] = 5; }));
  CHECK(refused([](Example& e) { e.units[6] = 0; }));
  CHECK(refused([](Example& e) { e.units[3] = 1; }));
  CHECK(refused([](Example& e) { e.log_probs[4] = 1; }));
  CHECK(refused([](Example& e) { e.log_probs[4] = std::nanf(""); }));
  CHECK(refused([](Example& e) { e.backoffs[4] = -1; }));
  CHECK(refused([](Example& e) { e.sources[4] = 2; }));
  CHECK(refused([](Example& e) { e.sources[1] = 0; }));
  CHECK(refused([](Example& e) { e.targets[8] = -1; }));
  CHECK(refused([](Example& e) { e.targets[8] = 2; }));
  CHECK(refused([](Example& e) { e.targets.pop_back(); }));
  CHECK(refused([](Example& e) { e.sources = {-1}; }));
}
