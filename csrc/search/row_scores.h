// The scores of the next token of one row, while processors change them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fastseq {

/// A row of scores over the vocabulary. Most processors change few tokens, and only the changes are written down;
/// the whole row is only where a processor needs it.
class RowScores {
 public:
  struct Entry {
    int32_t token;
    float score;
  };

  /// Starts from `logits` (vocab_size), which have to outlive the row's use. Beam search scores log-probabilities,
  /// (x - max) - log_sum; greedy search and sampling score the logits themselves (`normalised` false).
  void reset(const float* logits, int64_t vocab_size, bool normalised, float max, float log_sum);

  int64_t vocab_size() const { return vocab_size_; }
  float get(int32_t token) const;
  void set(int32_t token, float score);
  /// Every token that was not kept becomes impossible (-inf); each is named once.
  void keep_only(std::span<const Entry> kept);
  /// Puts the possible tokens (score above -inf) into `possible`, ascending.
  void list_possible(std::vector<Entry>& possible) const;
  /// All scores written down, to be read and changed.
  std::span<float> dense();

  bool is_dense() const { return is_dense_; }
  /// Whether every token without an entry is impossible. Only while not dense.
  bool only_entries() const { return only_entries_; }
  /// The tokens that were changed or kept, in no order. Only while not dense.
  std::span<const Entry> entries() const { return entries_; }
  std::span<const float> values() const { return dense_; }  // (vocab_size), only while dense
  bool has_entry(int32_t token) const { return find(token) >= 0; }

  /// The log-probability of the model itself.
  float log_probability(int32_t token) const { return (logits_[token] - max_) - log_sum_; }

 private:
  float original(int32_t token) const { return normalised_ ? log_probability(token) : logits_[token]; }
  int64_t find(int32_t token) const;
  void insert(int32_t token, float score);
  void clear_entries();

  const float* logits_ = nullptr;
  int64_t vocab_size_ = 0;
  bool normalised_ = false;
  float max_ = 0.0F;
  float log_sum_ = 0.0F;
  bool is_dense_ = false;
  bool only_entries_ = false;
  std::vector<Entry> entries_;
  std::vector<int32_t> slots_;  // open hashing of tokens: index into entries_, or -1; a power of two
  std::vector<float> dense_;    // (vocab_size) while dense
};

}  // namespace fastseq
