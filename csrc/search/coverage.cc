#include "search/coverage.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace fastseq {

void Coverage::add(const float* attention, std::span<const int64_t> sizes, std::span<const int64_t> parents,
                   std::span<const int64_t> sentences) {
  std::vector<float> sums;
  std::vector<int64_t> begin{0};
  for (std::size_t row = 0; row < sizes.size(); ++row) {
    const std::string where = "attention of sentence " + std::to_string(sentences[row]);
    const float* before = nullptr;
    if (!begin_.empty()) {
      const auto parent = static_cast<std::size_t>(parents[row]);
      const int64_t count = begin_[parent + 1] - begin_[parent];
      if (count != sizes[row]) {
        throw std::invalid_argument(where + " has " + std::to_string(sizes[row]) + " weights; expected " +
                                    std::to_string(count) + " as before");
      }
      before = sums_.data() + begin_[parent];
    }
    for (int64_t s = 0; s < sizes[row]; ++s) {
      const float weight = attention[begin.back() + s];
      if (!(weight >= 0.0F) || std::isinf(weight)) {
        throw std::invalid_argument(where + " has " + std::to_string(weight) +
                                    "; expected finite numbers of at least 0");
      }
      sums.push_back(before == nullptr ? weight : before[s] + weight);
    }
    begin.push_back(begin.back() + sizes[row]);
  }
  sums_ = std::move(sums);
  begin_ = std::move(begin);
}

float Coverage::penalty(int64_t row) const {
  if (!wanted() || begin_.empty()) return 0.0F;
  const auto index = static_cast<std::size_t>(row);
  float sum = 0.0F;
  for (int64_t i = begin_[index]; i < begin_[index + 1]; ++i) {
    const float covered = sums_[static_cast<std::size_t>(i)];
    if (covered > 0.0F) sum += std::log(std::min(covered, 1.0F));
  }
  return beta_ * sum;
}

}  // namespace fastseq
