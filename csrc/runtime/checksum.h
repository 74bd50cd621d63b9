// A sum over bytes that tells damage, not malice.
#pragma once

#include <cstdint>

namespace fastseq {

/// The sum of (2 i + 1) w_i modulo 2^64 over the little-endian 32-bit words w_i; the last one is filled up with zeros.
/// As odd factors have an inverse, a change of any one word changes it, and so does a swap of unequal neighbours.
uint64_t checksum(const unsigned char* bytes, int64_t size);

}  // namespace fastseq
