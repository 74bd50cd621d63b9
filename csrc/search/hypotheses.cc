#include "search/hypotheses.h"

#include <algorithm>

namespace fastseq {

int64_t TokenTree::append(int64_t parent, int32_t token) {
  parents_.push_back(parent);
  tokens_.push_back(token);
  return static_cast<int64_t>(tokens_.size()) - 1;
}

void TokenTree::append_path(int64_t node, std::vector<int32_t>& tokens) const {
  const auto begin = static_cast<std::ptrdiff_t>(tokens.size());
  for (; node != kRoot; node = parents_[static_cast<std::size_t>(node)]) {
    tokens.push_back(tokens_[static_cast<std::size_t>(node)]);
  }
  std::reverse(tokens.begin() + begin, tokens.end());
}

void HypothesisPool::add(const Ending& ending) {
  if (!accepts(ending.score)) return;
  if (full()) endings_.pop_back();
  const auto better = [](float score, const Ending& other) { return score > other.score; };
  endings_.insert(std::upper_bound(endings_.begin(), endings_.end(), ending.score, better), ending);
}

std::vector<Hypothesis> HypothesisPool::best(int64_t count, const TokenTree& tree) const {
  std::vector<Hypothesis> hypotheses;
  for (const Ending& ending : endings_) {
    if (static_cast<int64_t>(hypotheses.size()) == count) break;
    hypotheses.push_back({tree.path(ending.node), ending.score, ending.finished, ending.last});
  }
  return hypotheses;
}

}  // namespace fastseq
