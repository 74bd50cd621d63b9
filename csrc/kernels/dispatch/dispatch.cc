// Compiled for the baseline processor: fills the tables and chooses one.
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"
#include "runtime/cpu.h"

// The families that VNNI or the dot product of ARM make a difference to.
#define FASTSEQ_INT8_FAMILIES(isa) \
  FASTSEQ_FAMILY(matmul_int8, isa) \
  FASTSEQ_FAMILY(quantize, isa)

#define FASTSEQ_FAMILIES(isa)              \
  FASTSEQ_FAMILY(matmul, isa)              \
  FASTSEQ_FAMILY(matmul_bf16, isa)         \
  FASTSEQ_INT8_FAMILIES(isa)               \
  FASTSEQ_FAMILY(recurrent, isa)           \
  FASTSEQ_FAMILY(recurrent_cell, isa)      \
  FASTSEQ_FAMILY(cell_update, isa)         \
  FASTSEQ_FAMILY(attention, isa)           \
  FASTSEQ_FAMILY(decode_attention, isa)    \
  FASTSEQ_FAMILY(recurrent_attention, isa) \
  FASTSEQ_FAMILY(softmax, isa)             \
  FASTSEQ_FAMILY(topk, isa)                \
  FASTSEQ_FAMILY(norm, isa)                \
  FASTSEQ_FAMILY(transpose, isa)           \
  FASTSEQ_FAMILY(elementwise, isa)

namespace fastseq {

#define FASTSEQ_FAMILY(family, isa) void register_##family##_##isa(KernelTable& table);
FASTSEQ_FAMILIES(scalar)
#if defined(FASTSEQ_HAVE_AVX2)
FASTSEQ_FAMILIES(avx2)
#endif
#if defined(FASTSEQ_HAVE_AVX512)
FASTSEQ_FAMILIES(avx512)
FASTSEQ_INT8_FAMILIES(avx512vnni)
#endif
#if defined(FASTSEQ_HAVE_NEON)
FASTSEQ_FAMILIES(neon)
FASTSEQ_INT8_FAMILIES(neondot)
#endif
#undef FASTSEQ_FAMILY

namespace {

struct InstructionSet {
  const char* name;
  bool (*available)();
  void (*fill)(KernelTable&);
};

#define FASTSEQ_FAMILY(family, isa) register_##family##_##isa(table);
constexpr InstructionSet kInstructionSets[] = {
    {"scalar", [] { return true; }, [](KernelTable& table) { FASTSEQ_FAMILIES(scalar) }},
#if defined(FASTSEQ_HAVE_AVX2)
    {"avx2", cpu_has_avx2, [](KernelTable& table) { FASTSEQ_FAMILIES(avx2) }},
#endif
#if defined(FASTSEQ_HAVE_AVX512)
    {"avx512", cpu_has_avx512, [](KernelTable& table) { FASTSEQ_FAMILIES(avx512) }},
    {"avx512vnni", cpu_has_avx512vnni,
     [](KernelTable& table) {
       FASTSEQ_FAMILIES(avx512)
       FASTSEQ_INT8_FAMILIES(avx512vnni)
     }},
#endif
#if defined(FASTSEQ_HAVE_NEON)
    {"neon", [] { return true; }, [](KernelTable& table) { FASTSEQ_FAMILIES(neon) }},
    {"neondot", cpu_has_dot_product,
     [](KernelTable& table) {
       FASTSEQ_FAMILIES(neon)
       FASTSEQ_INT8_FAMILIES(neondot)
     }},
#endif
};
#undef FASTSEQ_FAMILY
constexpr int kCount = static_cast<int>(sizeof kInstructionSets / sizeof kInstructionSets[0]);

struct Tables {
  KernelTable table[kCount];
  bool available[kCount];

  Tables() {
    for (int i = 0; i < kCount; ++i) {
      available[i] = kInstructionSets[i].available();
      // Storing addresses may itself be vectorised: registering, too, is only for processors that have the set.
      if (!available[i]) continue;
      table[i].isa = kInstructionSets[i].name;
      kInstructionSets[i].fill(table[i]);
    }
  }
};

const Tables& tables() {
  static const Tables all;
  return all;
}

const KernelTable& find(std::string_view isa, const char* who) {
  std::string known;
  for (int i = 0; i < kCount; ++i) {
    if (!tables().available[i]) continue;
    if (isa == kInstructionSets[i].name) return tables().table[i];
    known += (known.empty() ? "" : ", ") + std::string(kInstructionSets[i].name);
  }
  throw std::invalid_argument(std::string(who) + " is '" + std::string(isa) +
                              "'; this build on this processor has: " + known);
}

std::atomic<const KernelTable*> g_current{nullptr};

}  // namespace

const KernelTable& kernels() {
  const KernelTable* current = g_current.load(std::memory_order_acquire);
  if (current == nullptr) {
    const char* forced = std::getenv("FASTSEQ_ISA");
    current =
        forced != nullptr && *forced != '\0' ? &find(forced, "FASTSEQ_ISA") : &kernels_for(available_isas().back());
    g_current.store(current, std::memory_order_release);
  }
  return *current;
}

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (int i = 0; i < kCount; ++i) {
    if (tables().available[i]) names.emplace_back(kInstructionSets[i].name);
  }
  return names;
}

const KernelTable& kernels_for(std::string_view isa) { return find(isa, "isa"); }

void use_isa(std::string_view isa) { g_current.store(&kernels_for(isa), std::memory_order_release); }

}  // namespace fastseq
