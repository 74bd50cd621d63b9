// Whether numbers that were stored are what they should be; all threads look at them.
#pragma once

#include <cstdint>

namespace fastseq {

/// Tells damage, not malice: the sum of (2 i + 1) w_i modulo 2^64 over the little-endian 32-bit words w_i; the last one
/// is filled up with zeros. As odd factors have an inverse, a change of any one word changes it, and so does a swap of
/// unequal neighbours.
uint64_t checksum(const unsigned char* bytes, int64_t size);

/// Whether none of the numbers is NaN or infinite.
bool all_finite(const float* numbers, int64_t size);

}  // namespace fastseq
