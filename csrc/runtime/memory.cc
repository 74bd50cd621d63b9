#include "runtime/memory.h"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastseq {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kLargeArray = std::size_t{1} << 20;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= kLargeArray ? kLargePage : kAlignment};
}

}  // namespace

void* allocate(std::size_t bytes) {
  void* memory = ::operator new(bytes, alignment_of(bytes));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // A wish: whether it is granted changes only the speed.
  if (bytes >= kLargeArray) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void release(void* memory, std::size_t bytes) noexcept { ::operator delete(memory, alignment_of(bytes)); }

}  // namespace fastseq
