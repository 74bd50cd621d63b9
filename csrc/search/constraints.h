// Phrases that a target has to contain, and how far a beam has come with them.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace fastseq {

/// Alternatives of which one has to occur, as the automaton of Aho and Corasick (1975): a state is the longest
/// beginning of any of them with which the tokens so far end.
class PhraseAutomaton {
 public:
  static constexpr int32_t kMet = -1;
  static constexpr int32_t kStart = 0;

  explicit PhraseAutomaton(const std::vector<std::vector<int32_t>>& alternatives);

  /// The state after one more token; what is met stays met.
  int32_t next(int32_t state, int32_t token) const;
  /// The least number of tokens that meet it from here; 0 once it is met.
  int64_t distance(int32_t state) const { return state == kMet ? 0 : nodes_[static_cast<std::size_t>(state)].distance; }
  /// Appends the tokens that bring it nearer.
  void append_advances(int32_t state, std::vector<int32_t>& tokens) const;

 private:
  struct Node {
    std::map<int32_t, int32_t> children;
    int32_t fallback = kStart;  // the longest proper end of this beginning that is a beginning too
    int64_t distance = 0;
    bool is_end = false;
  };
  const Node& node(int32_t state) const { return nodes_[static_cast<std::size_t>(state)]; }
  void link();

  std::vector<Node> nodes_;
};

/// All that a target has to contain. A state is one of each automaton.
class Constraints {
 public:
  using State = std::vector<int32_t>;

  /// For each constraint its alternatives.
  explicit Constraints(const std::vector<std::vector<std::vector<int32_t>>>& force_words);

  State start() const { return State(automata_.size(), PhraseAutomaton::kStart); }
  State next(const State& state, int32_t token) const;
  /// How many tokens it takes at least, were the phrases to share none.
  int64_t distance(const State& state) const;
  /// The tokens that bring some of them nearer, each once.
  std::vector<int32_t> advances(const State& state) const;

 private:
  std::vector<PhraseAutomaton> automata_;
};

}  // namespace fastseq
