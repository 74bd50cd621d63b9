#include "search/constraints.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace fastseq {

PhraseAutomaton::PhraseAutomaton(const std::vector<std::vector<int32_t>>& alternatives) : nodes_(1) {
  for (const std::vector<int32_t>& phrase : alternatives) {
    int32_t state = kStart;
    for (const int32_t token : phrase) {
      const auto size = static_cast<int32_t>(nodes_.size());
      const auto [child, is_new] = nodes_[static_cast<std::size_t>(state)].children.emplace(token, size);
      state = child->second;
      if (is_new) nodes_.emplace_back();
    }
    nodes_[static_cast<std::size_t>(state)].is_end = true;
  }
  link();
}

void PhraseAutomaton::link() {
  std::deque<int32_t> open{kStart};
  std::vector<int32_t> order;  // shorter beginnings first
  while (!open.empty()) {
    const int32_t state = open.front();
    open.pop_front();
    order.push_back(state);
    const std::map<int32_t, int32_t> children = node(state).children;
    for (const auto& [token, child] : children) {
      int32_t fallback = state;
      Node& own = nodes_[static_cast<std::size_t>(child)];
      while (fallback != kStart) {
        fallback = node(fallback).fallback;
        const auto found = node(fallback).children.find(token);
        if (found == node(fallback).children.end()) continue;
        own.fallback = found->second;
        break;
      }
      own.is_end = own.is_end || node(own.fallback).is_end;
      open.push_back(child);
    }
  }
  // By going on with one of the phrases, and then by falling back to a shorter beginning of another.
  for (auto state = order.rbegin(); state != order.rend(); ++state) {
    Node& own = nodes_[static_cast<std::size_t>(*state)];
    if (own.is_end) continue;
    own.distance = std::numeric_limits<int64_t>::max();
    for (const auto& [token, child] : own.children) own.distance = std::min(own.distance, 1 + node(child).distance);
  }
  for (const int32_t state : order) {
    Node& own = nodes_[static_cast<std::size_t>(state)];
    own.distance = std::min(own.distance, node(own.fallback).distance);
  }
}

int32_t PhraseAutomaton::next(int32_t state, int32_t token) const {
  if (state == kMet) return kMet;
  for (;; state = node(state).fallback) {
    const auto found = node(state).children.find(token);
    if (found != node(state).children.end()) return node(found->second).is_end ? kMet : found->second;
    if (state == kStart) return kStart;
  }
}

void PhraseAutomaton::append_advances(int32_t state, std::vector<int32_t>& tokens) const {
  if (state == kMet) return;
  for (int32_t from = state;; from = node(from).fallback) {
    for (const auto& [token, child] : node(from).children) {
      if (distance(next(state, token)) < distance(state)) tokens.push_back(token);
    }
    if (from == kStart) return;
  }
}

Constraints::Constraints(const std::vector<std::vector<std::vector<int32_t>>>& force_words) {
  for (const auto& alternatives : force_words) automata_.emplace_back(alternatives);
}

Constraints::State Constraints::next(const State& state, int32_t token) const {
  State after(state.size());
  for (std::size_t i = 0; i < state.size(); ++i) after[i] = automata_[i].next(state[i], token);
  return after;
}

int64_t Constraints::distance(const State& state) const {
  int64_t total = 0;
  for (std::size_t i = 0; i < state.size(); ++i) total += automata_[i].distance(state[i]);
  return total;
}

std::vector<int32_t> Constraints::advances(const State& state) const {
  std::vector<int32_t> tokens;
  for (std::size_t i = 0; i < state.size(); ++i) automata_[i].append_advances(state[i], tokens);
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

}  // namespace fastseq
