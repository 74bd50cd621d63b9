// Large arrays: released ones are kept for the next of their size.
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "runtime/buffer.h"
#include "testing.h"

using namespace fastseq;

namespace {

constexpr int64_t kMegabyte = int64_t{1} << 20;

}  // namespace

TEST(a_large_array_takes_the_place_of_a_released_one_of_its_size) {
  const char* first = Buffer<char>(kMegabyte + 5).data();
  const Buffer<char> second(kMegabyte + 5), third(kMegabyte + 5);
  CHECK(second.data() == first);
  CHECK(third.data() != first);
}

TEST(arrays_of_all_sizes_come_and_go_on_many_threads) {
  std::vector<std::thread> threads;
  std::vector<int64_t> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int64_t i = 0; i < 60; ++i) {
        // From less than is kept to more.
        const int64_t size = kMegabyte - 1 + (i + t) % 9 * (kMegabyte / 2);
        Buffer<char> buffer(size), other(size);
        std::memset(buffer.data(), t, static_cast<std::size_t>(size));
        std::memset(other.data(), 99, static_cast<std::size_t>(size));
        const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
        if (address % kAlignment != 0 || buffer[0] != t || buffer[size - 1] != t) ++wrong[static_cast<std::size_t>(t)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t count : wrong) CHECK_EQ(count, 0);
}
