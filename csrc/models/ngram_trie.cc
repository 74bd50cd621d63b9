#include "models/ngram_trie.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace fastseq {
namespace {

[[noreturn]] void refuse(std::size_t node, const std::string& problem) {
  throw std::invalid_argument("node " + std::to_string(node) + " of the n-grams " + problem);
}

std::size_t at(int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

NgramTrie::NgramTrie(const NgramNodes& nodes, int32_t num_units, int32_t start)
    : num_units_(num_units),
      units_(nodes.units.begin(), nodes.units.end()),
      log_probs_(nodes.log_probs.begin(), nodes.log_probs.end()),
      backoffs_(nodes.backoffs.begin(), nodes.backoffs.end()),
      root_child_(at(num_units), kNone) {
  check_nodes(nodes, start);
  for (int32_t node = first_child(kRoot); node < first_child(kRoot + 1); ++node) {
    root_child_[at(units_[at(node)])] = node;
  }
  for (int32_t unit = 0; unit < num_units; ++unit) {
    if (unit != start && root_child_[at(unit)] == kNone) {
      throw std::invalid_argument("unit " + std::to_string(unit) + " has no probability of its own");
    }
  }
  link_suffixes();
  if (const int32_t node = root_child_[at(start)]; node != kNone) begin_ = state_of(node);
}

void NgramTrie::check_nodes(const NgramNodes& nodes, int32_t start) {
  const std::size_t count = nodes.units.size();
  if (count == 0 || count > static_cast<std::size_t>(std::numeric_limits<int32_t>::max()) ||
      nodes.num_children.size() != count || log_probs_.size() != count || backoffs_.size() != count) {
    throw std::invalid_argument("the n-grams need a root, and as many numbers of each kind as nodes");
  }
  first_child_.reserve(count + 1);
  int64_t next = 1;
  for (std::size_t node = 0; node < count; ++node) {
    const int32_t children = nodes.num_children[node];
    const auto first = static_cast<std::size_t>(next);
    if (children < 0 || (children > 0 && first <= node) || next + children > static_cast<int64_t>(count)) {
      refuse(node, "has " + std::to_string(children) + " children, which is no trie of " + std::to_string(count));
    }
    first_child_.push_back(static_cast<int32_t>(next));
    next += children;
    for (std::size_t c = first; c < static_cast<std::size_t>(next); ++c) {
      if (units_[c] < 0 || units_[c] >= num_units_) {
        refuse(c, "has a unit that is not below " + std::to_string(num_units_));
      }
      if (c > first && units_[c] <= units_[c - 1]) refuse(c, "does not come after its sibling by its unit");
      if (units_[c] == start && node != kRoot) refuse(c, "has the start behind another unit");
    }
    if (!(log_probs_[node] <= 0.0F) || std::isinf(log_probs_[node])) refuse(node, "has no log-probability");
    if (!std::isfinite(backoffs_[node]) || (children == 0 && backoffs_[node] != 0.0F)) {
      refuse(node, "has a back-off weight that is not finite, or no children to back off from");
    }
  }
  if (next != static_cast<int64_t>(count)) {
    throw std::invalid_argument("the n-grams have " + std::to_string(count) + " nodes; their numbers of children say " +
                                std::to_string(next));
  }
  first_child_.push_back(static_cast<int32_t>(next));
}

// The suffix of a child is the child by the same unit of the longest suffix of its parent that has such a one (Aho and
// Corasick, 1975). Suffixes are shorter, so breadth-first they come before. The children of both rise by unit, so most
// are found by going through them side by side.
void NgramTrie::link_suffixes() {
  std::vector<int32_t> suffix(units_.size(), kRoot);
  shorter_.assign(units_.size(), kRoot);
  for (int32_t parent = 1; parent < static_cast<int32_t>(units_.size()); ++parent) {
    if (!has_children(parent)) continue;
    const int32_t beside = suffix[at(parent)], last = first_child(beside + 1);
    int32_t place = first_child(beside);
    for (int32_t node = first_child(parent); node < first_child(parent + 1); ++node) {
      const int32_t unit = units_[at(node)];
      while (place < last && units_[at(place)] < unit) ++place;
      int32_t context = beside, found = place < last && units_[at(place)] == unit ? place : kNone;
      while (found == kNone && context != kRoot) {
        context = suffix[at(context)];
        found = child(context, unit);
      }
      suffix[at(node)] = found == kNone ? kRoot : found;
      shorter_[at(node)] = state_of(suffix[at(node)]);
    }
  }
}

int32_t NgramTrie::child(int32_t node, int32_t unit) const {
  if (node == kRoot) return root_child_[at(unit)];
  const auto begin = units_.begin() + first_child(node), end = units_.begin() + first_child(node + 1);
  const auto place = std::lower_bound(begin, end, unit);
  return place != end && *place == unit ? static_cast<int32_t>(place - units_.begin()) : kNone;
}

NgramTrie::Step NgramTrie::step(State state, int32_t unit) const {
  float log_prob = 0.0F;
  int32_t found = child(state, unit);
  while (found == kNone && state != kRoot) {
    log_prob += backoffs_[at(state)];
    state = shorter_[at(state)];
    found = child(state, unit);
  }
  return {state_of(found), log_prob + log_probs_[at(found)]};
}

}  // namespace fastseq
