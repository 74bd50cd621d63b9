#include "search/trace.h"

namespace fastseq {

std::vector<int64_t> SearchTrace::path(const LastRow& last) const {
  std::vector<int64_t> rows(static_cast<std::size_t>(last.step) + 1);
  int64_t row = last.row;
  for (std::size_t step = rows.size(); step-- > 0;) {
    rows[step] = row;
    row = steps_[step].parents[static_cast<std::size_t>(row)];
  }
  return rows;
}

std::vector<int32_t> SearchTrace::read_tokens(const LastRow& last) const {
  const std::vector<int64_t> rows = path(last);
  std::vector<int32_t> tokens;
  for (std::size_t step = 1; step < rows.size(); ++step) {
    tokens.push_back(steps_[step].ids[static_cast<std::size_t>(rows[step])]);
  }
  return tokens;
}

std::vector<Hypothesis> SearchTrace::ended(int64_t sentence) const {
  std::vector<Hypothesis> hypotheses;
  for (const Ending& ending : endings_) {
    if (ending.sentence != sentence) continue;
    std::vector<int32_t> tokens = read_tokens(ending.last);
    if (!ending.finished && ending.token >= 0) tokens.push_back(static_cast<int32_t>(ending.token));
    hypotheses.push_back({std::move(tokens), ending.score, ending.finished, ending.last});
  }
  return hypotheses;
}

std::vector<int64_t> SearchTrace::rows(const Hypothesis& hypothesis) const {
  const std::size_t written = hypothesis.tokens.size() + (hypothesis.finished ? 1 : 0);
  std::vector<int64_t> rows = path(hypothesis.last);
  // The last row may have written nothing.
  if (rows.size() > written) rows.resize(written);
  return rows;
}

std::vector<float> SearchTrace::token_log_probs(const Hypothesis& hypothesis) const {
  const std::vector<int64_t> rows = this->rows(hypothesis);
  std::vector<float> log_probs;
  for (std::size_t step = 0; step < rows.size(); ++step) {
    const float before = steps_[step].sums[static_cast<std::size_t>(rows[step])];
    if (static_cast<int64_t>(step) == hypothesis.last.step) {
      log_probs.push_back(hypothesis.last.sum - before);
    } else {
      const int64_t next = step + 1 < rows.size() ? rows[step + 1] : hypothesis.last.row;
      log_probs.push_back(steps_[step + 1].sums[static_cast<std::size_t>(next)] - before);
    }
  }
  return log_probs;
}

}  // namespace fastseq
