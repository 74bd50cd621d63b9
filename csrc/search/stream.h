// The tokens of a running search that can no longer change.
#pragma once

#include <cstdint>
#include <vector>

#include "search/search.h"

namespace fastseq {

/// Reads a search that keeps a trace, after any of its steps.
///
/// The best hypothesis of a sentence will be the best that has ended, or a continuation of a live row: the tokens
/// that all of these share are certain. With one beam that is every token at once.
class TokenStream {
 public:
  struct News {
    int64_t sentence;
    std::vector<int32_t> tokens;
    bool done;  // the sentence has no more
  };

  explicit TokenStream(const Search& search) : told_(static_cast<std::size_t>(search.batch_size()), 0) {}

  /// What has become certain since the last call: sentences with new tokens, or that are now done.
  std::vector<News> read(const Search& search);

 private:
  static constexpr int64_t kDone = -1;

  /// The last row, at or after step `settled`, from which everything that may become the best hypothesis descends.
  LastRow common_row(const SearchTrace& trace, int64_t sentence, int64_t settled) const;

  std::vector<int64_t> told_;  // of each sentence: tokens told so far, or kDone
};

}  // namespace fastseq
