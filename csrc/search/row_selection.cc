#include "search/row_selection.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"
#include "runtime/thread_pool.h"

namespace fastseq {

namespace {

// A thread is worth waking for about this many logits.
constexpr int64_t kLogitsPerChunk = 1 << 16;

}  // namespace

void RowSelection::select(const float* logits, int64_t vocab_size, int64_t width, const float* add,
                          std::span<const int64_t> sentences) {
  const auto rows = static_cast<int64_t>(sentences.size());
  width_ = width;
  scores_.resize(static_cast<std::size_t>(rows * width));
  tokens_.resize(static_cast<std::size_t>(rows * width));
  const int64_t grain = std::max<int64_t>(1, kLogitsPerChunk / vocab_size);
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    kernels().log_softmax_topk(logits + begin * vocab_size, end - begin, vocab_size, vocab_size, width,
                               add == nullptr ? nullptr : add + begin, scores_.data() + begin * width,
                               tokens_.data() + begin * width);
  });
  for (int64_t row = 0; row < rows; ++row) {
    if (std::isnan(scores_[static_cast<std::size_t>(row * width)])) {
      throw std::invalid_argument("logits of sentence " + std::to_string(sentences[static_cast<std::size_t>(row)]) +
                                  " (row " + std::to_string(row) + ") contain NaN, +inf or no finite value");
    }
  }
}

}  // namespace fastseq
