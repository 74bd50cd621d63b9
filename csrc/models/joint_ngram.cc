#include "models/joint_ngram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

constexpr int64_t kGrain = 8;  // pairs that a thread takes at a time: some 100 us of work

/// log(exp(a) + exp(b)), both finite.
double log_add(double a, double b) { return std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b))); }

int32_t count_units(const JointUnits& units) {
  const std::size_t count = units.sources.size();
  if (count < 2 || count > static_cast<std::size_t>(std::numeric_limits<int32_t>::max())) {
    throw std::invalid_argument("there are " + std::to_string(count) + " units; expected start, end, and others");
  }
  if (units.max_targets < 0 || units.targets.size() != count * static_cast<std::size_t>(units.max_targets)) {
    throw std::invalid_argument("the units' targets are not one row for each unit");
  }
  return static_cast<int32_t>(count);
}

}  // namespace

JointNgram::JointNgram(int64_t source_vocab_size, int64_t target_vocab_size, const JointUnits& units,
                       const NgramNodes& nodes)
    : source_vocab_size_(source_vocab_size),
      target_vocab_size_(target_vocab_size),
      trie_(nodes, count_units(units), kStart) {
  for (std::size_t index = 0; index < units.sources.size(); ++index) add_unit(units, index);
}

void JointNgram::add_unit(const JointUnits& units, std::size_t index) {
  const std::string name = "unit " + std::to_string(index);
  const int32_t source = units.sources[index];
  const bool edge = index == kStart || index == kEnd;
  if (edge ? source != -1 : source < 0 || source >= source_vocab_size_) {
    throw std::invalid_argument(name + " has source " + std::to_string(source) +
                                (edge ? "; expected -1" : "; expected an id of the vocabulary"));
  }
  const auto width = static_cast<std::size_t>(units.max_targets);
  const std::span<const int32_t> row = units.targets.subspan(index * width, width);
  const auto end = std::find(row.begin(), row.end(), -1);
  if (std::any_of(end, row.end(), [](int32_t id) { return id != -1; }) || (edge && end != row.begin())) {
    throw std::invalid_argument(name + " has targets behind its last one");
  }
  for (auto id = row.begin(); id != end; ++id) {
    if (*id < 0 || *id >= target_vocab_size_) {
      throw std::invalid_argument(name + " has target " + std::to_string(*id) + "; expected an id of the vocabulary");
    }
  }
  if (edge) return;
  const auto place = static_cast<std::size_t>(source);
  if (place >= of_source_.size()) of_source_.resize(place + 1);
  of_source_[place].push_back({static_cast<int32_t>(index), {row.begin(), end}});
}

void JointNgram::score(const Ragged& source, const Ragged& target, float* log_probs, Cancellation& cancellation) const {
  const auto sequence = [](const Ragged& all, int64_t b) {
    return std::span(all.ids + all.offsets[b], static_cast<std::size_t>(all.length(b)));
  };
  parallel_for(source.batch_size, kGrain, [&](int64_t begin, int64_t end) {
    cancellation.check();
    for (int64_t b = begin; b < end; ++b) {
      log_probs[b] = static_cast<float>(score_pair(sequence(source, b), sequence(target, b)));
    }
  });
}

// places[j] holds what has read the source up to now and the first j targets; each further source token takes all
// units of its own whose targets come next.
double JointNgram::score_pair(std::span<const int32_t> source, std::span<const int32_t> target) const {
  const auto add = [](std::vector<Partial>& partials, NgramTrie::State state, double log_prob) {
    const auto same =
        std::find_if(partials.begin(), partials.end(), [&](const Partial& p) { return p.state == state; });
    if (same == partials.end()) {
      partials.push_back({state, log_prob});
    } else {
      same->log_prob = log_add(same->log_prob, log_prob);
    }
  };
  std::vector<std::vector<Partial>> places(target.size() + 1), next(target.size() + 1);
  places[0].push_back({trie_.begin(), 0.0});
  for (const int32_t token : source) {
    const auto place = static_cast<std::size_t>(token);
    if (place >= of_source_.size()) return -std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < places.size(); ++j) {
      if (places[j].empty()) continue;
      const std::span<const int32_t> rest = target.subspan(j);
      for (const Unit& unit : of_source_[place]) {
        const std::size_t taken = unit.targets.size();
        if (taken > rest.size() || !std::equal(unit.targets.begin(), unit.targets.end(), rest.begin())) continue;
        for (const Partial& partial : places[j]) {
          const NgramTrie::Step step = trie_.step(partial.state, unit.id);
          add(next[j + taken], step.next, partial.log_prob + static_cast<double>(step.log_prob));
        }
      }
    }
    std::swap(places, next);
    for (std::vector<Partial>& partials : next) partials.clear();
  }
  double total = -std::numeric_limits<double>::infinity();
  for (const Partial& partial : places.back()) {
    const double log_prob = partial.log_prob + static_cast<double>(trie_.step(partial.state, kEnd).log_prob);
    total = std::isinf(total) ? log_prob : log_add(total, log_prob);
  }
  return total;
}

}  // namespace fastseq
