// The joint-sequence model (Bisani and Ney, 2008): an n-gram model of units, each a source token with the target tokens
// that it stands for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram_trie.h"
#include "models/seq2seq.h"
#include "runtime/cancel.h"

namespace fastseq {

/// U units, of which the first two are the start and the end of a sequence.
struct JointUnits {
  std::span<const int32_t> sources;  // (U): a source id, or -1 for start and end
  std::span<const int32_t> targets;  // (U, max_targets): target ids, then -1
  int64_t max_targets = 0;
};

class JointNgram {
 public:
  /// Copies all. Throws std::invalid_argument for units that are not as described or ids outside the vocabularies, and
  /// as NgramTrie does.
  JointNgram(int64_t source_vocab_size, int64_t target_vocab_size, const JointUnits& units, const NgramNodes& nodes);

  int64_t source_vocab_size() const { return source_vocab_size_; }
  int64_t target_vocab_size() const { return target_vocab_size_; }

  /// log_probs (B): the log of the sum, over all ways to divide the pair into units, of their joint probability with
  /// the end; minus infinity where there is no such way. Pairs are spread over threads.
  void score(const Ragged& source, const Ragged& target, float* log_probs, Cancellation& cancellation) const;

 private:
  static constexpr int32_t kStart = 0, kEnd = 1;

  struct Unit {
    int32_t id;
    std::vector<int32_t> targets;
  };
  /// All divisions of what lies before a place that lead to one state.
  struct Partial {
    NgramTrie::State state;
    double log_prob;
  };

  void add_unit(const JointUnits& units, std::size_t index);
  double score_pair(std::span<const int32_t> source, std::span<const int32_t> target) const;

  int64_t source_vocab_size_, target_vocab_size_;
  std::vector<std::vector<Unit>> of_source_;  // by source id, up to the last one that has units
  NgramTrie trie_;
};

}  // namespace fastseq
