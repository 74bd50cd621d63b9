#include "search/beam.h"

#include <algorithm>
#include <cmath>

namespace fastseq {

BeamSearch::BeamSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals)
    : Search(batch_size, options, originals, /*normalised=*/true),
      pools_(static_cast<std::size_t>(batch_size), HypothesisPool(options.num_beams)),
      scores_(ids().size(), 0.0F),
      nodes_(ids().size(), TokenTree::kRoot) {}

void BeamSearch::extend() {
  begin_rows();
  std::swap(previous_scores_, scores_);
  std::swap(previous_nodes_, nodes_);
  scores_.clear();
  nodes_.clear();
  for (int64_t begin = 0; begin < previous_rows();) {
    int64_t end = begin + 1;
    while (end < previous_rows() && previous_sentence(end) == previous_sentence(begin)) ++end;
    extend_sentence(begin, end);
    begin = end;
  }
}

void BeamSearch::append_tokens(int64_t row, std::vector<int32_t>& tokens) const {
  tree_.append_path(nodes_[static_cast<std::size_t>(row)], tokens);
}

void BeamSearch::rank_candidates(int64_t begin, int64_t end) {
  candidates_.clear();
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t rank = 0; rank < selection_.width(); ++rank) {
      const Candidate candidate = selection_.at(row, rank);
      if (!std::isinf(candidate.score)) candidates_.push_back(candidate);
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.row != b.row ? a.row < b.row : a.token < b.token;
  });
}

void BeamSearch::extend_sentence(int64_t begin, int64_t end) {
  const int64_t sentence = previous_sentence(begin);
  if (is_forced(sentence)) {
    const float score = previous_scores_[static_cast<std::size_t>(begin)];
    continue_row({score, begin, forced_token(sentence)}, sentence);
    return;
  }
  const bool last_step = length_ >= max_length(sentence);
  const float length_power = divisor(sentence);
  HypothesisPool& pool = pools_[static_cast<std::size_t>(sentence)];

  rank_candidates(begin, end);
  running_.clear();
  int64_t rank = 0;
  for (const Candidate& candidate : candidates_) {
    const bool is_eos = options_.is_eos(candidate.token);
    const bool may_finish = rank++ < options_.num_beams;
    if (!is_eos && !last_step) {
      if (static_cast<int64_t>(running_.size()) < options_.num_beams) running_.push_back(candidate);
    } else if (may_finish && pool.accepts(candidate.score / length_power)) {
      int64_t node = previous_nodes_[static_cast<std::size_t>(candidate.row)];
      if (!is_eos) node = tree_.append(node, static_cast<int32_t>(candidate.token));
      const float score = candidate.score / length_power;
      pool.add({score, node, is_eos, ended(candidate.row, candidate.score, score, is_eos, candidate.token)});
    }
  }
  if (running_.empty() && pool.empty()) {
    // Every token that has a probability is forbidden: the beams end where they are.
    const float previous_power = divisor(sentence, 1);
    for (int64_t row = begin; row < end; ++row) {
      const auto index = static_cast<std::size_t>(row);
      const float sum = previous_scores_[index], score = sum / previous_power;
      pool.add({score, previous_nodes_[index], false, ended(row, sum, score, false, kNoToken)});
    }
  }
  if (is_complete(sentence, pool)) {
    finish(sentence, pool.best(options_.num_return_sequences, tree_));
    return;
  }
  for (const Candidate& candidate : running_) continue_row(candidate, sentence);
}

void BeamSearch::continue_row(const Candidate& candidate, int64_t sentence) {
  const auto token = static_cast<int32_t>(candidate.token);
  scores_.push_back(candidate.score);
  nodes_.push_back(tree_.append(previous_nodes_[static_cast<std::size_t>(candidate.row)], token));
  add_row(token, candidate.row, sentence);
}

bool BeamSearch::is_complete(int64_t sentence, const HypothesisPool& pool) const {
  if (running_.empty()) return true;
  if (!pool.full()) return false;
  if (options_.early_stopping == EarlyStopping::kTrue) return true;
  const bool longest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0.0;
  const int64_t length = (longest ? max_length(sentence) : length_) - prompt_length(sentence);
  const float best_possible = running_.front().score / length_divisor(length, options_.length_penalty);
  return !(best_possible > pool.worst_score());
}

}  // namespace fastseq
