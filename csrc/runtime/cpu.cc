#include "runtime/cpu.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <immintrin.h>
#include <intrin.h>
#endif

namespace fastseq {

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
// The builtins also check with XGETBV that the operating system saves the wide registers.
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool cpu_has_avx512() {
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool cpu_has_avx512vnni() { return cpu_has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#elif defined(_MSC_VER) && defined(_M_X64)
namespace {
bool supports(int ebx_bits, unsigned long long xcr0_bits) {
  int leaf1[4], leaf7[4];
  __cpuid(leaf1, 1);
  __cpuidex(leaf7, 7, 0);
  constexpr int kFma = 1 << 12, kOsxsave = 1 << 27;
  if ((leaf1[2] & (kFma | kOsxsave)) != (kFma | kOsxsave)) return false;
  return (leaf7[1] & ebx_bits) == ebx_bits && (_xgetbv(0) & xcr0_bits) == xcr0_bits;
}
}  // namespace
bool cpu_has_avx2() { return supports(1 << 5, 0x6); }
bool cpu_has_avx512() {
  // AVX2, AVX-512 F, DQ, BW, VL of CPUID leaf 7.
  return supports((1 << 5) | (1 << 16) | (1 << 17) | (1 << 30) | static_cast<int>(1u << 31), 0xe6);
}
bool cpu_has_avx512vnni() {
  int leaf7[4];
  __cpuidex(leaf7, 7, 0);
  return cpu_has_avx512() && (leaf7[2] & (1 << 11)) != 0;
}
#else
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
bool cpu_has_avx512vnni() { return false; }
#endif

#if defined(__aarch64__) && defined(__linux__)
bool cpu_has_dot_product() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#elif defined(__aarch64__) && defined(__APPLE__)
bool cpu_has_dot_product() { return true; }  // every Apple processor since 2018
#else
bool cpu_has_dot_product() { return false; }
#endif

namespace {

#if defined(__linux__)
/// Processors the cgroup's quota amounts to, or 0 when there is none.
double quota_of(const std::string& folder) {
  std::string quota;
  double period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
  }
  double quota_us = 0;
  std::ifstream v1(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
  if (v1 >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 0;
}

/// The tightest quota on the way from the process's cgroup up to the root.
double cgroup_quota() {
  double tightest = 0;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    const bool v2 = line.rfind("0::", 0) == 0;
    if (!v2 && line.find("cpu") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      const double quota = quota_of(root + path);
      if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return tightest;
}
#endif

}  // namespace

int available_processors() {
  int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = std::max(1, CPU_COUNT(&set));
  if (const double quota = cgroup_quota(); quota > 0) {
    count = std::clamp(static_cast<int>(std::ceil(quota)), 1, count);
  }
#endif
  return count;
}

#if defined(__linux__)
int current_processor() { return sched_getcpu(); }

void keep_off(std::thread::native_handle_type thread, int processor) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < 2) return;
  CPU_CLR(static_cast<std::size_t>(processor), &set);
  static_cast<void>(pthread_setaffinity_np(thread, sizeof set, &set));  // a hint: without it, it is only slower
}
#else
int current_processor() { return -1; }
void keep_off(std::thread::native_handle_type, int) {}
#endif

}  // namespace fastseq
