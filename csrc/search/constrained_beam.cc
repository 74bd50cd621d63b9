#include "search/constrained_beam.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastseq {

ConstrainedBeamSearch::ConstrainedBeamSearch(int64_t batch_size, const SearchOptions& options,
                                             std::span<const int64_t> originals)
    : Search(batch_size, options, originals, /*normalised=*/true),
      constraints_(options.force_words_ids),
      pools_(static_cast<std::size_t>(batch_size), HypothesisPool(options.num_beams)),
      ended_(static_cast<std::size_t>(batch_size), 0),
      scores_(ids().size(), 0.0F),
      nodes_(ids().size(), TokenTree::kRoot),
      states_(ids().size(), constraints_.start()) {}

void ConstrainedBeamSearch::append_tokens(int64_t row, std::vector<int32_t>& tokens) const {
  tree_.append_path(nodes_[static_cast<std::size_t>(row)], tokens);
}

void ConstrainedBeamSearch::extend() {
  begin_rows();
  std::swap(previous_scores_, scores_);
  std::swap(previous_nodes_, nodes_);
  std::swap(previous_states_, states_);
  scores_.clear();
  nodes_.clear();
  states_.clear();
  for (int64_t begin = 0; begin < previous_rows();) {
    int64_t end = begin + 1;
    while (end < previous_rows() && previous_sentence(end) == previous_sentence(begin)) ++end;
    extend_sentence(begin, end);
    begin = end;
  }
}

void ConstrainedBeamSearch::list_candidates(int64_t begin, int64_t end) {
  candidates_.clear();
  for (int64_t row = begin; row < end; ++row) {
    const auto index = static_cast<std::size_t>(row);
    const Constraints::State& state = previous_states_[index];
    std::vector<int32_t> tokens = constraints_.advances(state);
    for (int64_t rank = 0; rank < selection_.width(); ++rank) {
      const Candidate candidate = selection_.at(row, rank);
      if (!std::isinf(candidate.score)) tokens.push_back(static_cast<int32_t>(candidate.token));
    }
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    const int64_t missing_before = constraints_.distance(state);
    for (const int32_t token : tokens) {
      const float score = selection_.score(row, token) + previous_scores_[index];
      if (std::isinf(score) || (options_.is_eos(token) && missing_before > 0)) continue;
      Progress progress{{score, row, token}, constraints_.next(state, token)};
      progress.missing = constraints_.distance(progress.state);
      candidates_.push_back(std::move(progress));
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Progress& a, const Progress& b) {
    const Candidate &x = a.candidate, &y = b.candidate;
    if (x.score != y.score) return x.score > y.score;
    return x.row != y.row ? x.row < y.row : x.token < y.token;
  });
}

void ConstrainedBeamSearch::extend_sentence(int64_t begin, int64_t end) {
  const int64_t sentence = previous_sentence(begin);
  if (is_forced(sentence)) {
    const auto index = static_cast<std::size_t>(begin);
    const int32_t token = forced_token(sentence);
    continue_row({{previous_scores_[index], begin, token}, constraints_.next(previous_states_[index], token)},
                 sentence);
    return;
  }
  list_candidates(begin, end);
  const bool last_step = length_ >= max_length(sentence);
  int64_t rank = 0;  // among those that miss nothing
  std::vector<Progress> open;
  for (Progress& progress : candidates_) {
    const bool may_end = progress.missing == 0 && rank++ < options_.num_beams;
    if (!options_.is_eos(progress.candidate.token) && !last_step) {
      open.push_back(std::move(progress));
    } else if (may_end) {
      end_candidate(sentence, progress.candidate);
    }
  }
  std::swap(candidates_, open);
  fill_beams();
  HypothesisPool& pool = pools_[static_cast<std::size_t>(sentence)];
  if (!is_complete(sentence)) {
    for (const Progress& progress : running_) continue_row(progress, sentence);
    return;
  }
  if (pool.empty()) {
    throw std::invalid_argument("force_words_ids: no sequence of sentence " + std::to_string(original(sentence)) +
                                " within max_length contains them with a probability above 0");
  }
  finish(sentence, pool.best(options_.num_return_sequences, tree_));
}

void ConstrainedBeamSearch::end_candidate(int64_t sentence, const Candidate& candidate) {
  HypothesisPool& pool = pools_[static_cast<std::size_t>(sentence)];
  ++ended_[static_cast<std::size_t>(sentence)];
  const float score = final_score(candidate.row, candidate.score, divisor(sentence));
  if (!pool.accepts(score)) return;
  const bool is_eos = options_.is_eos(candidate.token);
  int64_t node = previous_nodes_[static_cast<std::size_t>(candidate.row)];
  if (!is_eos) node = tree_.append(node, static_cast<int32_t>(candidate.token));
  pool.add({score, node, is_eos, ended(candidate.row, candidate.score, score, is_eos, candidate.token)});
}

void ConstrainedBeamSearch::fill_beams() {
  std::map<int64_t, std::vector<std::size_t>> banks;  // by what is missing; best first
  for (std::size_t i = 0; i < candidates_.size(); ++i) banks[candidates_[i].missing].push_back(i);
  std::vector<std::size_t> chosen;
  const auto places = std::min(static_cast<std::size_t>(options_.num_beams), candidates_.size());
  for (std::size_t round = 0; chosen.size() < places; ++round) {
    for (const auto& [missing, bank] : banks) {
      if (round < bank.size() && chosen.size() < places) chosen.push_back(bank[round]);
    }
  }
  std::sort(chosen.begin(), chosen.end());  // candidates are sorted by score
  running_.clear();
  for (const std::size_t i : chosen) running_.push_back(std::move(candidates_[i]));
}

bool ConstrainedBeamSearch::is_complete(int64_t sentence) const {
  if (running_.empty()) return true;
  const HypothesisPool& pool = pools_[static_cast<std::size_t>(sentence)];
  if (options_.early_stopping == EarlyStopping::kTrue) {
    const double wanted = std::round(static_cast<double>(options_.num_beams) * options_.patience);
    return static_cast<double>(ended_[static_cast<std::size_t>(sentence)]) >= std::max(1.0, wanted);
  }
  if (!pool.full()) return false;
  const bool longest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0.0;
  const int64_t length = scored_length(sentence, longest ? max_length(sentence) : length_);
  const float best_possible = running_.front().candidate.score / length_divisor(length, options_.length_penalty);
  return !(best_possible > pool.worst_score());
}

void ConstrainedBeamSearch::continue_row(const Progress& progress, int64_t sentence) {
  const auto token = static_cast<int32_t>(progress.candidate.token);
  scores_.push_back(progress.candidate.score);
  nodes_.push_back(tree_.append(previous_nodes_[static_cast<std::size_t>(progress.candidate.row)], token));
  states_.push_back(progress.state);
  add_row(token, progress.candidate.row, sentence);
}

}  // namespace fastseq
