// A back-off n-gram model as a trie: the node of an n-gram is reached by its units, oldest first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fastseq {

/// The nodes breadth-first: node 0 is the root, and the children of a node lie together, behind those of all nodes
/// before it, by rising unit.
struct NgramNodes {
  std::span<const int32_t> units;         // last unit of the n-gram
  std::span<const int32_t> num_children;  // of n-grams that go on from it
  std::span<const float> log_probs;       // of the last unit after those before it
  std::span<const float> backoffs;        // log of the weight of shorter contexts, where this one is the context
};

/// log p(u | h) is that of the n-gram h u if the trie has it, else backoff(h) + log p(u | h without its oldest unit)
/// (Katz, 1987; Chen and Goodman, 1999).
class NgramTrie {
 public:
  /// Copies the nodes. Throws std::invalid_argument unless they are a trie over units below `num_units` as described,
  /// every unit but `start` is a child of the root, log-probabilities are finite and not above 0, back-off weights are
  /// finite, and those of nodes without children 0.
  NgramTrie(const NgramNodes& nodes, int32_t num_units, int32_t start);

  /// A context, as far back as the trie knows it: its longest suffix that has children.
  using State = int32_t;
  struct Step {
    State next;
    float log_prob;
  };

  /// The context of the first unit.
  State begin() const { return begin_; }
  Step step(State state, int32_t unit) const;

 private:
  static constexpr int32_t kRoot = 0, kNone = -1;

  void check_nodes(const NgramNodes& nodes, int32_t start);
  int32_t child(int32_t node, int32_t unit) const;
  bool has_children(int32_t node) const { return first_child(node + 1) > first_child(node); }
  int32_t first_child(int32_t node) const { return first_child_[static_cast<std::size_t>(node)]; }
  /// The node itself if it has children, else the next state that is shorter.
  State state_of(int32_t node) const { return has_children(node) ? node : shorter_[static_cast<std::size_t>(node)]; }
  void link_suffixes();

  int32_t num_units_;
  std::vector<int32_t> units_, first_child_;
  std::vector<float> log_probs_, backoffs_;
  std::vector<State> shorter_;       // of each node, the longest state that is a proper suffix
  std::vector<int32_t> root_child_;  // by unit
  State begin_ = kRoot;
};

}  // namespace fastseq
