// Runs the tests whose names contain the first argument (all without one).
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>

#include "testing.h"

namespace fastseq::testing {
namespace {

constexpr int kMostMessages = 10;  // of one test
std::mutex g_mutex;
int g_failures = 0;  // of the running test, guarded by g_mutex

}  // namespace

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

void fail(const char* file, int line, const std::string& message) {
  const std::lock_guard lock(g_mutex);
  if (++g_failures <= kMostMessages) std::printf("  %s:%d: %s\n", file, line, message.c_str());
}

/// Whether it passed.
bool run(const Test& test) {
  g_failures = 0;
  try {
    test.run();
  } catch (const std::exception& error) {
    fail(test.name, 0, std::string("unexpected exception: ") + error.what());
  }
  std::printf("%s %s\n", g_failures == 0 ? "ok    " : "FAILED", test.name);
  std::fflush(stdout);
  return g_failures == 0;
}

}  // namespace fastseq::testing

int main(int argc, char** argv) {
  const char* filter = argc > 1 ? argv[1] : "";
  int ran = 0, failed = 0;
  for (const auto& test : fastseq::testing::all_tests()) {
    if (std::strstr(test.name, filter) == nullptr) continue;
    ++ran;
    if (!fastseq::testing::run(test)) ++failed;
  }
  std::printf("%d tests, %d failed\n", ran, failed);
  return ran == 0 || failed > 0;
}
