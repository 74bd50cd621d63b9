#include "search/row_scores.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace fastseq {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();
constexpr std::size_t kFirstSlots = 64;
// A hashed entry costs about as much as so many in a row.
constexpr int64_t kDenseShare = 8;

std::size_t first_slot(int32_t token, std::size_t slots) {
  return (static_cast<std::size_t>(static_cast<uint32_t>(token)) * 0x9E3779B1U >> 7) & (slots - 1);
}

}  // namespace

void RowScores::reset(const float* logits, int64_t vocab_size, bool normalised, float max, float log_sum) {
  logits_ = logits;
  vocab_size_ = vocab_size;
  normalised_ = normalised;
  max_ = max;
  log_sum_ = log_sum;
  is_dense_ = false;
  only_entries_ = false;
  clear_entries();
}

void RowScores::clear_entries() {
  if (!entries_.empty()) std::fill(slots_.begin(), slots_.end(), -1);
  entries_.clear();
}

int64_t RowScores::find(int32_t token) const {
  if (entries_.empty()) return -1;
  for (std::size_t slot = first_slot(token, slots_.size());; slot = (slot + 1) & (slots_.size() - 1)) {
    const int32_t index = slots_[slot];
    if (index < 0 || entries_[static_cast<std::size_t>(index)].token == token) return index;
  }
}

void RowScores::insert(int32_t token, float score) {
  if (slots_.size() < 2 * (entries_.size() + 1)) {
    slots_.assign(std::max(kFirstSlots, 2 * slots_.size()), -1);
    const std::vector<Entry> before = std::move(entries_);
    entries_.clear();
    entries_.reserve(slots_.size() / 2);
    for (const Entry& entry : before) insert(entry.token, entry.score);
  }
  std::size_t slot = first_slot(token, slots_.size());
  while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = static_cast<int32_t>(entries_.size());
  entries_.push_back({token, score});
}

float RowScores::get(int32_t token) const {
  if (is_dense_) return dense_[static_cast<std::size_t>(token)];
  const int64_t index = find(token);
  if (index >= 0) return entries_[static_cast<std::size_t>(index)].score;
  return only_entries_ ? kImpossible : original(token);
}

void RowScores::set(int32_t token, float score) {
  if (is_dense_) {
    dense_[static_cast<std::size_t>(token)] = score;
    return;
  }
  const int64_t index = find(token);
  if (index >= 0) {
    entries_[static_cast<std::size_t>(index)].score = score;
  } else {
    insert(token, score);
  }
}

void RowScores::keep_only(std::span<const Entry> kept) {
  const std::vector<Entry> copy(kept.begin(), kept.end());  // it may be a view of the entries
  clear_entries();
  is_dense_ = static_cast<int64_t>(copy.size()) * kDenseShare > vocab_size_;
  only_entries_ = !is_dense_;
  if (is_dense_) dense_.assign(static_cast<std::size_t>(vocab_size_), kImpossible);
  for (const Entry& entry : copy) set(entry.token, entry.score);
}

void RowScores::list_possible(std::vector<Entry>& possible) const {
  possible.clear();
  if (!is_dense_ && only_entries_) {
    std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(possible),
                 [](const Entry& entry) { return entry.score > kImpossible; });
    std::sort(possible.begin(), possible.end(), [](const Entry& a, const Entry& b) { return a.token < b.token; });
    return;
  }
  for (int32_t token = 0; token < vocab_size_; ++token) {
    const float score = get(token);
    if (score > kImpossible) possible.push_back({token, score});
  }
}

std::span<float> RowScores::dense() {
  if (!is_dense_) {
    dense_.resize(static_cast<std::size_t>(vocab_size_));
    if (only_entries_) {
      std::fill(dense_.begin(), dense_.end(), kImpossible);
    } else if (normalised_) {
      for (std::size_t i = 0; i < dense_.size(); ++i) dense_[i] = (logits_[i] - max_) - log_sum_;
    } else {
      std::copy_n(logits_, vocab_size_, dense_.begin());
    }
    for (const Entry& entry : entries_) dense_[static_cast<std::size_t>(entry.token)] = entry.score;
    is_dense_ = true;
  }
  return dense_;
}

}  // namespace fastseq
