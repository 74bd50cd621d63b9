#include "runtime/memory.h"

#include <atomic>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastseq {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kLargeArray = std::size_t{1} << 20;

// Large arrays come and go with every call of a layer, and memory fresh from the system costs a fault a page (glibc
// keeps none that was asked for with so large an alignment). A few released ones are kept for the next who asks for the
// same size: at most kKept * kMostKept = 16 MB. Without a lock, so that a forked child finds nothing locked.
constexpr int kKept = 4;
constexpr std::size_t kMostKept = std::size_t{4} << 20;
struct Kept {
  std::size_t bytes;  // written into the array itself
};
std::atomic<Kept*> g_kept[kKept];

bool kept(std::size_t bytes) { return bytes >= kLargeArray && bytes <= kMostKept; }

/// Up to an eighth more than asked for, so that arrays of nearly the same size take each other's place.
std::size_t rounded(std::size_t bytes) {
  std::size_t unit = kLargeArray / 8;
  while (unit * 16 <= bytes) unit *= 2;
  return kept(bytes) ? (bytes + unit - 1) / unit * unit : bytes;
}

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= kLargeArray ? kLargePage : kAlignment};
}

void remove(void* memory, std::size_t bytes) noexcept { ::operator delete(memory, alignment_of(bytes)); }

/// Puts an array into a free place; false if there is none.
bool keep(Kept* array) noexcept {
  for (auto& place : g_kept) {
    Kept* none = nullptr;
    if (place.compare_exchange_strong(none, array, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void* take(std::size_t bytes) noexcept {
  for (auto& place : g_kept) {
    Kept* array = place.exchange(nullptr, std::memory_order_acq_rel);
    if (array == nullptr) continue;
    const std::size_t size = array->bytes;
    if (size == bytes) return array;
    if (!keep(array)) remove(array, size);
  }
  return nullptr;
}

}  // namespace

void* allocate(std::size_t bytes) {
  bytes = rounded(bytes);
  if (kept(bytes)) {
    if (void* memory = take(bytes); memory != nullptr) return memory;
  }
  void* memory = ::operator new(bytes, alignment_of(bytes));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // A wish: whether it is granted changes only the speed.
  if (bytes >= kLargeArray) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void release(void* memory, std::size_t bytes) noexcept {
  bytes = rounded(bytes);
  if (kept(bytes)) {
    if (keep(::new (memory) Kept{bytes})) return;
  }
  remove(memory, bytes);
}

}  // namespace fastseq
