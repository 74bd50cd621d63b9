#include "runtime/checksum.h"

#include <atomic>
#include <cstddef>
#include <cstring>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Words that one thread takes at a time.
constexpr int64_t kWords = 1 << 16;

uint64_t word_at(const unsigned char* bytes, int64_t count) {
  uint64_t word = 0;
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return word;
}

uint64_t sum_of(const unsigned char* bytes, int64_t begin, int64_t end) {
  uint64_t sum = 0;
  // Words read as the processor has them: all that this library runs on are little-endian.
  for (int64_t i = begin; i < end; ++i) {
    uint32_t word;
    std::memcpy(&word, bytes + i * 4, sizeof word);
    sum += static_cast<uint64_t>(word) * static_cast<uint32_t>(2 * i + 1);
  }
  return sum;
}

}  // namespace

uint64_t checksum(const unsigned char* bytes, int64_t size) {
  const int64_t words = size / 4;
  std::atomic<uint64_t> total{word_at(bytes + words * 4, size % 4) * static_cast<uint32_t>(2 * words + 1)};
  parallel_for((words + kWords - 1) / kWords, 16, [&](int64_t begin, int64_t end) {
    total += sum_of(bytes, begin * kWords, end * kWords < words ? end * kWords : words);
  });
  return total;
}

}  // namespace fastseq
