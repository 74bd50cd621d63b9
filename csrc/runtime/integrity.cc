#include "runtime/integrity.h"

#include <atomic>
#include <cstddef>
#include <cstring>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Words that one thread takes at a time, and how often it does so.
constexpr int64_t kWords = 1 << 14, kTurns = 16;

uint64_t word_at(const unsigned char* bytes, int64_t count) {
  uint64_t word = 0;
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return word;
}

// Loops of a known length become vectors without a loop for the rest; words are read as the processor has them: all
// that this library runs on are little-endian.
constexpr int64_t kBlock = 256;

uint64_t sum_of(const unsigned char* bytes, int64_t begin, int64_t count) {
  uint64_t sum = 0;
  const auto first = static_cast<uint32_t>(2 * begin + 1);
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    uint32_t word;
    std::memcpy(&word, bytes + (begin + i) * 4, sizeof word);
    sum += static_cast<uint64_t>(word) * (first + 2 * i);
  }
  return sum;
}

/// Whether an exponent is that of NaN and infinity.
bool any_wrong(const float* numbers, int64_t count) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, numbers + i, sizeof bits);
    wrong |= (bits & kExponent) == kExponent ? 1u : 0u;
  }
  return wrong != 0;
}

}  // namespace

uint64_t checksum(const unsigned char* bytes, int64_t size) {
  const int64_t words = size / 4;
  std::atomic<uint64_t> total{word_at(bytes + words * 4, size % 4) * static_cast<uint32_t>(2 * words + 1)};
  parallel_for((words + kWords - 1) / kWords, kTurns, [&](int64_t begin, int64_t end) {
    const int64_t last = end * kWords < words ? end * kWords : words;
    uint64_t sum = 0;
    int64_t i = begin * kWords;
    for (; i + kBlock <= last; i += kBlock) sum += sum_of(bytes, i, kBlock);
    total += sum + sum_of(bytes, i, last - i);
  });
  return total;
}

bool all_finite(const float* numbers, int64_t size) {
  std::atomic<bool> finite{true};
  parallel_for((size + kWords - 1) / kWords, kTurns, [&](int64_t begin, int64_t end) {
    const int64_t last = end * kWords < size ? end * kWords : size;
    bool wrong = false;
    int64_t i = begin * kWords;
    for (; i + kBlock <= last; i += kBlock) wrong |= any_wrong(numbers + i, kBlock);
    if (wrong || any_wrong(numbers + i, last - i)) finite = false;
  });
  return finite;
}

}  // namespace fastseq
