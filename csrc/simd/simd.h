// The vector type that kernels are written against.
//
// `F32` holds kLanes floats, `Mask` one truth value a lane; an instruction-set header defines both and the free
// functions on them, and the including source is compiled once for each set. Every operation is a single
// IEEE-754 binary32 operation in each lane (fma rounds once), so all sets give the same bits.
//
// Everything lives in an unnamed namespace: an inline function with external linkage could be merged with its
// copy for another instruction set at link time and then run on a processor that lacks it.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(FASTSEQ_ISA_AVX512)
#include "simd/avx512.h"
#elif defined(FASTSEQ_ISA_AVX2)
#include "simd/avx2.h"
#elif defined(FASTSEQ_ISA_NEON)
#include "simd/neon.h"
#else
#include "simd/scalar.h"
#endif

#if defined(_MSC_VER)
#define FASTSEQ_ALWAYS_INLINE __forceinline
#define FASTSEQ_NOINLINE __declspec(noinline)
#elif defined(__clang__)
#define FASTSEQ_ALWAYS_INLINE inline __attribute__((always_inline))
#define FASTSEQ_NOINLINE __attribute__((noinline))
#else
#define FASTSEQ_ALWAYS_INLINE inline __attribute__((always_inline))
#define FASTSEQ_NOINLINE __attribute__((noinline, noclone))  // GCC would copy it for each constant argument
#endif

namespace fastseq {
namespace {

/// Fetches the line at `address`, which need not be readable, into the second-level cache.
inline void prefetch(const float* address) {
#if defined(_MSC_VER) && defined(_M_X64)
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1);
#elif defined(__GNUC__)
  __builtin_prefetch(address, 0, 2);
#else
  static_cast<void>(address);
#endif
}

inline F32 operator+(F32 a, F32 b) { return add(a, b); }
inline F32 operator-(F32 a, F32 b) { return sub(a, b); }
inline F32 operator*(F32 a, F32 b) { return mul(a, b); }
inline F32 operator/(F32 a, F32 b) { return div(a, b); }

/// Sixteen virtual lanes, whatever the width of F32: element i of a row belongs to lane i % 16 in every
/// reduction, so that sums come out the same everywhere.
constexpr int kVirtualLanes = 16;
constexpr int kParts = kVirtualLanes / kLanes;
struct V16 {
  F32 part[kParts];
};

inline V16 broadcast16(float x) {
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = broadcast(x);
  return v;
}
inline V16 load16(const float* from) {
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = load(from + p * kLanes);
  return v;
}
inline V16 load16_partial(const float* from, int64_t count, float fill = 0.0f) {
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = load_partial(from + p * kLanes, count - p * kLanes, fill);
  return v;
}
inline void store16(float* to, V16 v) {
  for (int p = 0; p < kParts; ++p) store(to + p * kLanes, v.part[p]);
}
inline void store16_partial(float* to, V16 v, int64_t count) {
  for (int p = 0; p < kParts; ++p) store_partial(to + p * kLanes, v.part[p], count - p * kLanes);
}

/// Sum of the lanes in one order for all: lane j takes lane j + 8, then j + 4, j + 2, j + 1.
inline float reduce_add(V16 v) { return reduce_add(v.part); }
/// Largest lane, in the same order; no lane may be NaN.
inline float reduce_max(V16 v) { return reduce_max(v.part); }

}  // namespace
}  // namespace fastseq
