// What the processor and the process may use.
#pragma once

#include <thread>

namespace fastseq {

bool cpu_has_avx2();         // AVX2 and FMA, enabled by the operating system
bool cpu_has_avx512();       // AVX-512 F, BW, DQ and VL, enabled by the operating system
bool cpu_has_avx512vnni();   // the same and VNNI
bool cpu_has_dot_product();  // NEON's (ARMv8.2)

/// Processors this process may run on: the affinity mask, capped by the cgroup's CPU quota (rounded up).
int available_processors();

/// The processor that the calling thread is on, or -1 where the system does not tell.
int current_processor();
/// Lets `thread` run on the processors that the caller may use, but not on `processor` where there are others.
void keep_off(std::thread::native_handle_type thread, int processor);

}  // namespace fastseq
