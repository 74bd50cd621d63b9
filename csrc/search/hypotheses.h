// Hypotheses: the token sequences of a search, held as a tree, and the best finished ones of a sentence.
#pragma once

#include <cstdint>
#include <vector>

namespace fastseq {

/// The last row that read for a hypothesis: the row of a step, counted from 0 (-1: nothing was read), and the sum of
/// the log-probabilities of all that the hypothesis wrote, its end token included.
struct LastRow {
  int64_t step = -1;
  int64_t row = 0;
  float sum = 0.0F;
};

/// One answer of a search.
struct Hypothesis {
  std::vector<int32_t> tokens;  // without the start token and without the end token
  float score = 0.0F;           // sum of log-probabilities / length ** length_penalty
  bool finished = false;        // an end token was reached (false: max_length was)
  LastRow last{};
};

/// Every token ever kept by a beam, each pointing to the one before it: beams share their prefixes, and
/// choosing a beam copies one index. Twelve bytes a token.
class TokenTree {
 public:
  static constexpr int64_t kRoot = -1;  // the start token

  int64_t append(int64_t parent, int32_t token);
  /// Appends the tokens from the root (excluded) to `node`.
  void append_path(int64_t node, std::vector<int32_t>& tokens) const;
  std::vector<int32_t> path(int64_t node) const {
    std::vector<int32_t> tokens;
    append_path(node, tokens);
    return tokens;
  }

 private:
  std::vector<int64_t> parents_;
  std::vector<int32_t> tokens_;
};

/// The best `capacity` hypotheses that one sentence has ended so far, best first; equal scores: first come.
class HypothesisPool {
 public:
  struct Ending {
    float score;
    int64_t node;  // the last token kept in the tree
    bool finished;
    LastRow last{};
  };

  explicit HypothesisPool(int64_t capacity) : capacity_(capacity) {}

  /// Whether a hypothesis with this score would be kept.
  bool accepts(float score) const { return !full() || score > endings_.back().score; }
  void add(const Ending& ending);
  bool full() const { return static_cast<int64_t>(endings_.size()) == capacity_; }
  bool empty() const { return endings_.empty(); }
  float worst_score() const { return endings_.back().score; }
  /// The best `count` (or as many as there are) with their tokens.
  std::vector<Hypothesis> best(int64_t count, const TokenTree& tree) const;

 private:
  int64_t capacity_;
  std::vector<Ending> endings_;
};

}  // namespace fastseq
