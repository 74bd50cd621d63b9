// Products of int8 weights with int8 activations, four of them to each 32-bit lane, beside the floats of simd.h.
//
// Each instruction set defines
//   kInputBytes                       that an activation takes where it is stored
//   store_inputs(to, v)               sixteen activations, whole numbers, as broadcast_inputs reads them
//   store_bytes(to, v)                sixteen whole numbers as bytes
//   I32                               kLanes sums
//   zero_sums()
//   finish(sums, weights, input)      the sums of the products as floats, given the sums of the weights of these
//                                     outputs and the sum of the magnitudes of the row's negative activations
//   Weights8, load_weights(from)      4 * kLanes weights: lane i holds bytes 4 i to 4 i + 3
//   Inputs8, broadcast_inputs(from)   four activations, the same in every lane
//   add_products(sum, x, w)           sum + x0 w0 + x1 w1 + x2 w2 + x3 w3 in each lane
// Weights and activations are whole numbers from -127 to 127; the sums are exact, modulo 2^32, so all sets give the
// same integers.
#pragma once

#include "simd/simd.h"

#if defined(FASTSEQ_ISA_AVX512VNNI)
#include "simd/int8/avx512vnni.h"
#elif defined(FASTSEQ_ISA_AVX512)
#include "simd/int8/avx512.h"
#elif defined(FASTSEQ_ISA_AVX2)
#include "simd/int8/avx2.h"
#elif defined(FASTSEQ_ISA_NEON)
#include "simd/int8/neon.h"
#else
#include "simd/int8/scalar.h"
#endif
