// How a kernel source puts its functions into the table of the instruction set it is compiled for:
//   FASTSEQ_REGISTER(softmax) { table.softmax = softmax; }
// defines the one function with external linkage of that source, `register_softmax_<isa>`.
#pragma once

#include "kernels/kernels.h"

#define FASTSEQ_CONCAT_(a, b) a##b
#define FASTSEQ_CONCAT(a, b) FASTSEQ_CONCAT_(a, b)
#define FASTSEQ_REGISTER(family)                                               \
  void FASTSEQ_CONCAT(register_##family##_, FASTSEQ_ISA)(KernelTable & table); \
  void FASTSEQ_CONCAT(register_##family##_, FASTSEQ_ISA)(KernelTable & table)
