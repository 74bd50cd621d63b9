#include "search/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace fastseq {

namespace {

using Entry = RowScores::Entry;
using Entries = std::vector<Entry>;

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// softmax of the scores, in double.
std::vector<double> probabilities(std::span<const Entry> entries) {
  float largest = kImpossible;
  for (const Entry& entry : entries) largest = std::max(largest, entry.score);
  std::vector<double> p;
  p.reserve(entries.size());
  double sum = 0.0;
  for (const Entry& entry : entries) sum += p.emplace_back(std::exp(static_cast<double>(entry.score) - largest));
  for (double& x : p) x /= sum;
  return p;
}

/// What a token of this probability adds to the entropy.
double surprise(double p) { return p > 0.0 ? -p * std::log(p) : 0.0; }

double entropy(const std::vector<double>& p) {
  double sum = 0.0;
  for (const double x : p) sum += surprise(x);
  return sum;
}

/// Indices of `keys` sorted ascending; equal keys: lower index first.
std::vector<std::size_t> ascending(const std::vector<double>& keys) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  return order;
}

/// Leaves the entries whose `keep` is set, in their order.
void retain(Entries& entries, const std::vector<char>& keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (keep[i] != 0) entries[kept++] = entries[i];
  }
  entries.resize(kept);
}

class Warper final : public Processor {
 public:
  Warper(const SamplingOptions& options, int64_t least) : options_(options), least_(static_cast<std::size_t>(least)) {}
  bool active(const RowContext&) const override { return true; }

  void apply(RowScores& scores, const RowContext&) const override {
    thread_local Entries entries;
    scores.list_possible(entries);
    if (entries.empty()) return;
    if (options_.temperature != 1.0) {
      for (Entry& entry : entries) entry.score /= static_cast<float>(options_.temperature);
    }
    if (options_.top_h > 0.0) keep_top_h(entries);
    if (options_.top_k > 0) keep_top_k(entries, std::max(static_cast<std::size_t>(options_.top_k), least_));
    if (options_.top_p < 1.0) keep_top_p(entries);
    if (options_.min_p > 0.0) keep_min_p(entries);
    if (options_.typical_p < 1.0) keep_typical(entries);
    if (options_.epsilon_cutoff > 0.0) keep_above(entries, probabilities(entries), options_.epsilon_cutoff);
    if (options_.eta_cutoff > 0.0) {
      const std::vector<double> p = probabilities(entries);
      const double eta = options_.eta_cutoff;
      keep_above(entries, p, std::min(eta, std::sqrt(eta) * std::exp(-entropy(p))));
    }
    scores.keep_only(entries);
  }

 private:
  /// The best while their share of the entropy of the 100 best is at most top_h (Potraghloo et al., 2025).
  void keep_top_h(Entries& entries) const {
    std::vector<double> keys;
    for (const Entry& entry : entries) keys.push_back(-static_cast<double>(entry.score));
    std::vector<std::size_t> order = ascending(keys);
    order.resize(std::min<std::size_t>(order.size(), 100));
    Entries best;
    for (const std::size_t i : order) best.push_back(entries[i]);
    const std::vector<double> p = probabilities(best);
    const double most = options_.top_h * entropy(p);
    std::vector<char> keep(entries.size(), 0);
    double sum = 0.0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      sum += surprise(p[i]);
      if (i > 0 && sum > most) break;
      keep[order[i]] = 1;
    }
    retain(entries, keep);
  }

  /// Those of at least this probability (Hewitt et al., 2022), and those at least as good as the last one that has to
  /// stay.
  void keep_above(Entries& entries, const std::vector<double>& p, double least_probable) const {
    std::vector<double> sorted = p;
    const std::size_t rank = std::min(least_, sorted.size());
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank - 1), sorted.end(),
                     std::greater<>());
    std::vector<char> keep(entries.size());
    for (std::size_t i = 0; i < p.size(); ++i) keep[i] = p[i] >= least_probable || p[i] >= sorted[rank - 1] ? 1 : 0;
    retain(entries, keep);
  }

  /// Those at least as good as the k-th best.
  static void keep_top_k(Entries& entries, std::size_t k) {
    if (k >= entries.size()) return;
    std::vector<float> scores;
    scores.reserve(entries.size());
    for (const Entry& entry : entries) scores.push_back(entry.score);
    std::nth_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(k - 1), scores.end(),
                     std::greater<>());
    const float worst = scores[k - 1];
    std::erase_if(entries, [worst](const Entry& entry) { return entry.score < worst; });
  }

  /// The most probable ones that make up top_p of the probability.
  void keep_top_p(Entries& entries) const {
    const std::vector<double> p = probabilities(entries);
    const std::vector<std::size_t> order = ascending(p);
    std::vector<char> keep(entries.size(), 1);
    double sum = 0.0;
    for (std::size_t i = 0; i + least_ < order.size(); ++i) {
      sum += p[order[i]];
      if (sum > 1.0 - options_.top_p) break;
      keep[order[i]] = 0;
    }
    retain(entries, keep);
  }

  /// Those at least min_p times as probable as the best.
  void keep_min_p(Entries& entries) const {
    const std::vector<double> p = probabilities(entries);
    const std::vector<std::size_t> order = ascending(p);
    const double least_probable = options_.min_p * p[order.back()];
    std::vector<char> keep(entries.size(), 1);
    for (std::size_t i = 0; i + least_ < order.size() && p[order[i]] < least_probable; ++i) keep[order[i]] = 0;
    retain(entries, keep);
  }

  /// Those whose surprise is nearest to the expected one, making up typical_p (Meister et al., 2023).
  void keep_typical(Entries& entries) const {
    const std::vector<double> p = probabilities(entries);
    const double expected = entropy(p);
    std::vector<double> distance;
    for (const double x : p) distance.push_back(std::fabs(-std::log(x) - expected));
    const std::vector<std::size_t> order = ascending(distance);
    std::size_t last = 0;
    for (double sum = p[order[0]]; sum < options_.typical_p && last + 1 < order.size();) sum += p[order[++last]];
    std::vector<char> keep(entries.size(), 0);
    for (std::size_t i = 0; i < order.size(); ++i) {
      keep[order[i]] = i < least_ || distance[order[i]] <= distance[order[last]] ? 1 : 0;
    }
    retain(entries, keep);
  }

  const SamplingOptions options_;
  const std::size_t least_;
};

}  // namespace

double uniform(uint64_t seed, uint64_t stream, uint64_t step, uint64_t draw) {
  const uint64_t bits = mix(mix(mix(mix(seed) ^ stream) ^ step) ^ draw);
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

std::unique_ptr<const Processor> make_warper(const SamplingOptions& options, int64_t least) {
  if (!options.do_sample) return nullptr;
  return std::make_unique<Warper>(options, least);
}

int32_t draw(std::span<const RowScores::Entry> possible, double uniform) {
  const std::vector<double> p = probabilities(possible);
  double sum = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    sum += p[i];
    if (sum > uniform) return possible[i].token;
  }
  return possible.back().token;  // rounding left the sum below `uniform`
}

}  // namespace fastseq
