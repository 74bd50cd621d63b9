// Where large arrays live.
#pragma once

#include <cstddef>

namespace fastseq {

/// Every array begins on a cache line.
constexpr std::size_t kAlignment = 64;

/// Uninitialised memory; std::bad_alloc where there is none. From 1 MB on it asks for large pages: a matrix
/// that a decoding step passes over from end to end then needs a few entries of the processor's page table cache,
/// not one for each 4 KB.
void* allocate(std::size_t bytes);
void release(void* memory, std::size_t bytes) noexcept;

}  // namespace fastseq
