// The table of kernels of one instruction set, and the choice of one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/args.h"
#include "kernels/cell_args.h"

namespace fastseq {

struct KernelTable {
  const char* isa = nullptr;
  int32_t lanes = 0;             // floats in a vector: weights are packed in units of it
  int32_t matmul_vectors = 0;    // vectors in a panel that suit this instruction set best
  int32_t bf16_vectors = 0;      // the same for bfloat16 weights
  int32_t int8_vectors = 0;      // the same for int8 weights
  int32_t int8_input_bytes = 0;  // that an activation takes where quantize_inputs has stored it
#define FASTSEQ_KERNEL(result, name, arguments) result(*name) arguments = nullptr;
#include "kernels/kernels.def"
#undef FASTSEQ_KERNEL
};

/// The kernels in use: the best set the processor has, or what FASTSEQ_ISA asks for (std::invalid_argument for a
/// name that is unknown or that the processor lacks). Packed weights keep the table they were packed for.
const KernelTable& kernels();

/// The sets this build has and this processor can run, worst first.
std::vector<std::string_view> available_isas();

/// The kernels of one set by name; std::invalid_argument as above.
const KernelTable& kernels_for(std::string_view isa);

/// Makes kernels() return another set from now on; for tests that compare sets within a process.
void use_isa(std::string_view isa);

}  // namespace fastseq
