// The best continuations of each row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/processors.h"
#include "search/row_scores.h"

namespace fastseq {

/// One continuation of one row.
struct Candidate {
  float score;  // of the row at `token`, plus what was to be added; -inf: impossible
  int64_t row;
  int64_t token;
};

/// The `width` best tokens of every row, best first; equal scores: lower token first.
class RowSelection {
 public:
  /// `options` have to outlive the selection. `normalised`: processors see log-probabilities, else logits.
  RowSelection(const SearchOptions& options, bool normalised);

  bool needs_ids() const { return needs_ids_; }

  /// Reads `logits` (rows, vocab_size), which are used until the next call; `add` (rows) or null is added to the
  /// scores. Throws std::invalid_argument naming the sentence whose row has a NaN, +inf or nothing finite, unless
  /// its next token is forced.
  void read(const float* logits, int64_t vocab_size, int64_t width, const float* add, std::span<const RowContext> rows);

  int64_t width() const { return width_; }
  Candidate at(int64_t row, int64_t rank) const {
    const auto index = static_cast<std::size_t>(row * stride_ + rank);
    return {scores_[index], row, tokens_[index]};
  }
  /// The score of any token of a row, what was to be added not included.
  float score(int64_t row, int32_t token) const {
    return processors_.empty() ? log_probability(row, token) : scores(row).get(token);
  }
  /// What the model itself gives a token: its log-softmax before any processor; 0 where its logits are invalid.
  float log_probability(int64_t row, int64_t token) const;
  /// All scores of a row as the processors left them; only where there are processors.
  const RowScores& scores(int64_t row) const { return row_scores_[static_cast<std::size_t>(row)]; }

 private:
  /// Throws for a row that has no valid score.
  void check(std::span<const RowContext> rows) const;
  /// Runs the processors over the rows that are not forced, and lists their best tokens anew.
  void process(std::span<const RowContext> rows, int64_t grain);
  void list_best(int64_t row);
  /// The best tokens without an entry in `scores`, at least `width` of them if there are so many.
  void collect_unchanged(int64_t row, const RowScores& scores, std::vector<Candidate>& best) const;

  const bool normalised_;
  const bool accepts_invalid_;
  const ProcessorList processors_;
  bool needs_ids_ = false;
  const float* logits_ = nullptr;
  int64_t vocab_size_ = 0;
  int64_t width_ = 0;
  int64_t stride_ = 0;              // of the lists below: width, and some more where processors may strike tokens out
  std::vector<float> scores_;       // (rows, stride)
  std::vector<int64_t> tokens_;     // (rows, stride)
  std::vector<float> normalizers_;  // (rows, 2): maximum, log of the sum of exponentials
  std::vector<RowScores> row_scores_;  // (rows)
};

}  // namespace fastseq
