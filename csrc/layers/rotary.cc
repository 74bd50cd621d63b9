#include "layers/rotary.h"

#include <algorithm>
#include <cmath>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Numbers that a thread is worth waiting for where little is done with each.
constexpr int64_t kMinimumShare = 1 << 16;

void turn_row(const float* cosines, const float* sines, int64_t heads, int64_t half, float* x) {
  for (int64_t head = 0; head < heads; ++head) {
    float *first = x + head * 2 * half, *second = first + half;
    for (int64_t i = 0; i < half; ++i) {
      const float a = first[i], b = second[i];
      first[i] = a * cosines[i] - b * sines[i];
      second[i] = b * cosines[i] + a * sines[i];
    }
  }
}

}  // namespace

/// Cosines and sines of at least so many positions. Nobody waits for it; of two who compute it at once, one does so in
/// vain.
const float* Rotary::table(int64_t positions) const {
  const int64_t row = 2 * half_;
  const Table* known = table_.load(std::memory_order_acquire);
  while (known == nullptr || known->numbers.size() < positions * row) {
    const int64_t count = std::max(positions, known == nullptr ? 0 : 2 * known->numbers.size() / row);
    auto larger = std::make_unique<Table>();
    larger->numbers = Buffer<float>(count * row);
    for (int64_t i = 0; i < half_; ++i) {
      const float exponent = static_cast<float>(2 * i) / static_cast<float>(2 * half_);
      const float frequency =
          1.0f / static_cast<float>(std::pow(static_cast<double>(theta_), static_cast<double>(exponent)));
      for (int64_t t = 0; t < count; ++t) {
        const float angle = static_cast<float>(t) * frequency;
        larger->numbers[t * row + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        larger->numbers[t * row + half_ + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    }
    if (table_.compare_exchange_strong(known, larger.get(), std::memory_order_acq_rel)) {
      larger->smaller.reset(known);  // only the destructor reads it
      known = larger.release();
    }
  }
  return known->numbers.data();
}

void Rotary::turn(const int64_t* positions, int64_t rows, int64_t heads, int64_t stride, float* x) const {
  if (rows == 0) return;
  const float* known = table(*std::max_element(positions, positions + rows) + 1);
  parallel_for(rows, kMinimumShare / (heads * 2 * half_ + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* cosines = known + positions[i] * 2 * half_;
      turn_row(cosines, cosines + half_, heads, half_, x + i * stride);
    }
  });
}

}  // namespace fastseq
