#include "search/beam.h"

#include <algorithm>
#include <cmath>

namespace fastseq {

namespace {

int64_t count_groups(const SearchOptions& options) {
  return options.return_alternatives ? options.num_return_sequences : options.num_beam_groups;
}

bool better(const Candidate& a, const Candidate& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.row != b.row ? a.row < b.row : a.token < b.token;
}

}  // namespace

BeamSearch::BeamSearch(int64_t batch_size, const SearchOptions& options, std::span<const int64_t> originals)
    : Search(batch_size, options, originals, /*normalised=*/true),
      num_groups_(count_groups(options)),
      group_size_(options.num_beams / options.num_beam_groups),
      groups_(static_cast<std::size_t>(batch_size * num_groups_), Group(group_size_)),
      scores_(ids().size(), 0.0F),
      nodes_(ids().size(), TokenTree::kRoot),
      indices_(ids().size(), 0) {}

void BeamSearch::append_tokens(int64_t row, std::vector<int32_t>& tokens) const {
  tree_.append_path(nodes_[static_cast<std::size_t>(row)], tokens);
}

int64_t BeamSearch::continuations() const {
  // What earlier groups have chosen may fall behind; an alternative may be any of the first ones.
  const bool is_diverse = options_.num_beam_groups > 1 && options_.diversity_penalty > 0.0;
  return std::max(group_size_, options_.return_alternatives ? num_groups_ : 0) + (is_diverse ? options_.num_beams : 0);
}

void BeamSearch::extend() {
  begin_rows();
  std::swap(previous_scores_, scores_);
  std::swap(previous_nodes_, nodes_);
  std::swap(previous_indices_, indices_);
  scores_.clear();
  nodes_.clear();
  indices_.clear();
  for (int64_t begin = 0; begin < previous_rows();) {
    int64_t end = begin + 1;
    while (end < previous_rows() && previous_sentence(end) == previous_sentence(begin)) ++end;
    extend_sentence(begin, end);
    begin = end;
  }
}

void BeamSearch::extend_sentence(int64_t begin, int64_t end) {
  const int64_t sentence = previous_sentence(begin);
  if (is_forced(sentence)) {
    continue_row({previous_scores_[static_cast<std::size_t>(begin)], begin, forced_token(sentence)}, sentence, 0);
    return;
  }
  const bool is_shared = length_ == prompt_length(sentence) + 1;  // all groups start from the same row
  bool all_done = true;
  chosen_.clear();
  for (int64_t index = 0; index < num_groups_; ++index) {
    int64_t first = begin, last = end;
    if (!is_shared) {
      while (first < end && previous_indices_[static_cast<std::size_t>(first)] != index) ++first;
      last = first;
      while (last < end && previous_indices_[static_cast<std::size_t>(last)] == index) ++last;
    }
    if (!group(sentence, index).done) extend_group(index, first, last);
    all_done = all_done && group(sentence, index).done;
  }
  if (all_done) finish(sentence, collect(sentence));
}

void BeamSearch::rank_candidates(int64_t index, int64_t begin, int64_t end) {
  candidates_.clear();
  const auto penalty = static_cast<float>(options_.diversity_penalty);
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t rank = 0; rank < selection_.width(); ++rank) {
      Candidate candidate = selection_.at(row, rank);
      if (std::isinf(candidate.score)) continue;
      if (!chosen_.empty() && penalty > 0.0F) {
        const auto times = std::count(chosen_.begin(), chosen_.end(), candidate.token);
        candidate.score -= penalty * static_cast<float>(times);
      }
      candidates_.push_back(candidate);
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
  if (options_.return_alternatives && length_ == prompt_length(previous_sentence(begin)) + 1) {
    const auto own = static_cast<std::size_t>(index);
    candidates_ = own < candidates_.size() ? std::vector<Candidate>{candidates_[own]} : std::vector<Candidate>{};
  }
}

void BeamSearch::draw_candidates(int64_t begin, int64_t end) {
  struct Drawn {
    double key;
    Candidate candidate;
  };
  std::vector<Drawn> drawn;
  std::vector<RowScores::Entry> possible;
  for (int64_t row = begin; row < end; ++row) {
    const float before = previous_scores_[static_cast<std::size_t>(row)];
    selection_.scores(row).list_possible(possible);
    for (const RowScores::Entry& entry : possible) {
      const float score = entry.score + before;
      const double noise = -std::log(-std::log(random(previous_sentence(row), row - begin, entry.token)));
      if (!std::isinf(score)) drawn.push_back({static_cast<double>(score) + noise, {score, row, entry.token}});
    }
  }
  const int64_t wanted = std::max<int64_t>(2, 1 + static_cast<int64_t>(options_.eos_ids.size())) * group_size_;
  const auto count = std::min(static_cast<std::ptrdiff_t>(wanted), static_cast<std::ptrdiff_t>(drawn.size()));
  std::partial_sort(drawn.begin(), drawn.begin() + count, drawn.end(), [](const Drawn& a, const Drawn& b) {
    return a.key != b.key ? a.key > b.key : better(a.candidate, b.candidate);
  });
  candidates_.clear();
  for (std::ptrdiff_t i = 0; i < count; ++i) candidates_.push_back(drawn[static_cast<std::size_t>(i)].candidate);
  std::sort(candidates_.begin(), candidates_.end(), better);
}

void BeamSearch::extend_group(int64_t index, int64_t begin, int64_t end) {
  const int64_t sentence = previous_sentence(begin);
  const bool last_step = length_ >= max_length(sentence);
  const float power = divisor(sentence);
  Group& own = group(sentence, index);
  if (options_.sampling.do_sample) {
    draw_candidates(begin, end);
  } else {
    rank_candidates(index, begin, end);
  }
  // Marian's finished hypotheses keep their places: fewer go on, and only the candidates that get a place count.
  const bool places_stay = options_.preset == Preset::kMarian;
  const int64_t places = group_size_ - (places_stay ? own.ended : 0);
  int64_t open = places;  // for those that go on
  running_.clear();
  int64_t rank = 0;
  for (const Candidate& candidate : candidates_) {
    const bool in_beam = rank++ < places;
    if (places_stay && !in_beam) break;
    const bool is_eos = options_.is_eos(candidate.token);
    if (is_eos && rank > 1 && only_best_may_end(sentence)) {
      --open;  // it is dropped, and nothing takes its place
    } else if (!is_eos && !last_step) {
      if (static_cast<int64_t>(running_.size()) < open) running_.push_back(candidate);
    } else if (in_beam) {
      end_candidate(own, candidate, power);
      if (!is_eos) chosen_.push_back(candidate.token);
      own.best_ended = own.best_ended || rank == 1;
    }
  }
  if (running_.empty() && own.pool.empty()) end_rows(own, begin, end);
  own.done = is_complete(sentence, own);
  if (own.done) return;
  for (const Candidate& candidate : running_) {
    chosen_.push_back(candidate.token);
    continue_row(candidate, sentence, index);
  }
}

void BeamSearch::end_candidate(Group& group, const Candidate& candidate, float divisor) {
  ++group.ended;
  const float score = final_score(candidate.row, candidate.score, divisor);
  if (!group.pool.accepts(score)) return;
  const bool is_eos = options_.is_eos(candidate.token);
  int64_t node = previous_nodes_[static_cast<std::size_t>(candidate.row)];
  if (!is_eos) node = tree_.append(node, static_cast<int32_t>(candidate.token));
  group.pool.add({score, node, is_eos, ended(candidate.row, candidate.score, score, is_eos, candidate.token)});
}

void BeamSearch::end_rows(Group& group, int64_t begin, int64_t end) {
  // Every token that has a probability is forbidden: the beams end where they are. An alternative that does not
  // exist has no rows of its own yet.
  const int64_t sentence = previous_sentence(begin);
  if (options_.return_alternatives && length_ == prompt_length(sentence) + 1 &&
      !std::isinf(selection_.at(begin, 0).score)) {
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    const auto index = static_cast<std::size_t>(row);
    const float sum = previous_scores_[index], score = final_score(row, sum, divisor(sentence, 1));
    group.pool.add({score, previous_nodes_[index], false, ended(row, sum, score, false, kNoToken)});
  }
}

void BeamSearch::continue_row(const Candidate& candidate, int64_t sentence, int64_t index) {
  const auto token = static_cast<int32_t>(candidate.token);
  scores_.push_back(candidate.score);
  nodes_.push_back(tree_.append(previous_nodes_[static_cast<std::size_t>(candidate.row)], token));
  indices_.push_back(index);
  add_row(token, candidate.row, sentence);
}

bool BeamSearch::only_best_may_end(int64_t sentence) const {
  return options_.preset == Preset::kCTranslate2 && !options_.return_alternatives && prompt_length(sentence) > 1 &&
         length_ == prompt_length(sentence) + 1;
}

bool BeamSearch::is_complete(int64_t sentence, const Group& group) const {
  if (running_.empty()) return true;
  if (options_.preset == Preset::kMarian) return false;
  const double wanted = std::round(static_cast<double>(group_size_) * options_.patience);
  const bool has_enough = static_cast<double>(group.ended) >= std::max(1.0, wanted);
  if (options_.preset == Preset::kCTranslate2) {
    if (options_.length_penalty != 0.0 || options_.coverage_penalty != 0.0) return has_enough;
    const int64_t returned = options_.return_alternatives ? 1 : options_.num_return_sequences;
    return group.best_ended && group.ended >= std::min(returned, group_size_);
  }
  if (options_.early_stopping == EarlyStopping::kTrue) return has_enough;
  if (!group.pool.full()) return false;
  const bool longest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0.0;
  const int64_t length = scored_length(sentence, longest ? max_length(sentence) : length_);
  const float best_possible = running_.front().score / length_divisor(length, options_.length_penalty);
  return !(best_possible > group.pool.worst_score());
}

std::vector<Hypothesis> BeamSearch::collect(int64_t sentence) const {
  std::vector<Hypothesis> found;
  for (int64_t index = 0; index < num_groups_; ++index) {
    const Group& group = groups_[static_cast<std::size_t>(sentence * num_groups_ + index)];
    const int64_t most = options_.return_alternatives ? 1 : options_.num_return_sequences;
    const auto others = static_cast<std::ptrdiff_t>(found.size());
    for (Hypothesis& hypothesis : group.pool.best(most, tree_)) {
      // Groups may have found the same.
      const bool is_new = std::none_of(found.begin(), found.begin() + others, [&](const Hypothesis& other) {
        return other.finished == hypothesis.finished && other.tokens == hypothesis.tokens;
      });
      if (is_new) found.push_back(std::move(hypothesis));
    }
  }
  if (options_.return_alternatives) return found;
  std::stable_sort(found.begin(), found.end(),
                   [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  const auto most = static_cast<std::size_t>(options_.num_return_sequences);
  if (found.size() > most) found.resize(most);
  return found;
}

}  // namespace fastseq
