// What the processor and the process may use.
#pragma once

namespace fastseq {

bool cpu_has_avx2();        // AVX2 and FMA, enabled by the operating system
bool cpu_has_avx512();      // AVX-512 F, BW, DQ and VL, enabled by the operating system
bool cpu_has_avx512vnni();  // the same and VNNI

/// Processors this process may run on: the affinity mask, capped by the cgroup's CPU quota (rounded up).
int available_processors();

}  // namespace fastseq
