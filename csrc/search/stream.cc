#include "search/stream.h"

#include <algorithm>

namespace fastseq {

std::vector<TokenStream::News> TokenStream::read(const Search& search) {
  std::vector<News> news;
  const auto is_live = [&](int64_t sentence) {
    return std::binary_search(search.sentences().begin(), search.sentences().end(), sentence);
  };
  for (int64_t sentence = 0; sentence < search.batch_size(); ++sentence) {
    int64_t& told = told_[static_cast<std::size_t>(sentence)];
    if (told == kDone) continue;
    const bool live = is_live(sentence);
    std::vector<int32_t> tokens;
    if (live) {
      tokens = search.trace()->read_tokens(common_row(*search.trace(), sentence, told));
    } else if (!search.hypotheses(sentence).empty()) {
      tokens = search.hypotheses(sentence).front().tokens;
    }
    const auto known = static_cast<int64_t>(tokens.size());
    if (live && known == told) continue;
    tokens.erase(tokens.begin(), tokens.begin() + std::min(told, known));
    news.push_back({sentence, std::move(tokens), !live});
    told = live ? known : kDone;
  }
  return news;
}

LastRow TokenStream::common_row(const SearchTrace& trace, int64_t sentence, int64_t settled) const {
  const SearchTrace::Ending* best = nullptr;
  for (const SearchTrace::Ending& ending : trace.endings()) {
    if (ending.sentence == sentence && (best == nullptr || ending.score > best->score)) best = &ending;
  }
  int64_t step = static_cast<int64_t>(trace.steps().size()) - 1;
  const SearchTrace::Step& newest = trace.steps().back();
  std::vector<int64_t> rows;
  for (std::size_t row = 0; row < newest.sentences.size(); ++row) {
    if (newest.sentences[row] == sentence) rows.push_back(static_cast<int64_t>(row));
  }
  // Up the tree, all rows of one step at a time, until one is left and the ended hypothesis has joined them.
  while (step > settled && (rows.size() > 1 || (best != nullptr && best->last.step < step))) {
    const std::vector<int64_t>& parents = trace.steps()[static_cast<std::size_t>(step)].parents;
    for (int64_t& row : rows) row = parents[static_cast<std::size_t>(row)];
    --step;
    if (best != nullptr && best->last.step == step) rows.push_back(best->last.row);
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  }
  return {step, rows.front(), 0.0F};
}

}  // namespace fastseq
