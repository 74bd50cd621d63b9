// A small test harness: TEST(name) { CHECK(...); } registers a test, main.cc runs them.
#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace fastseq::testing {

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& all_tests();

/// Reports a failed check of the running test; may be called from any thread.
void fail(const char* file, int line, const std::string& message);

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

template <typename A, typename B>
std::string describe(const char* a_text, const char* b_text, const A& a, const B& b) {
  std::ostringstream text;
  text.precision(9);
  text << a_text << " == " << b_text << " (" << a << " vs " << b << ")";
  return text.str();
}

}  // namespace fastseq::testing

#define TEST(name)                                                                \
  static void name();                                                             \
  static const ::fastseq::testing::Registration registration_##name(#name, name); \
  static void name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) ::fastseq::testing::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(a, b)                                                                                      \
  do {                                                                                                      \
    const auto check_a = (a);                                                                               \
    const auto check_b = (b);                                                                               \
    if (!(check_a == check_b)) {                                                                            \
      ::fastseq::testing::fail(__FILE__, __LINE__, ::fastseq::testing::describe(#a, #b, check_a, check_b)); \
    }                                                                                                       \
  } while (false)

/// `problem` is a std::string, empty where all is well.
#define CHECK_OK(problem)                                    \
  do {                                                       \
    if (const std::string text = (problem); !text.empty()) { \
      ::fastseq::testing::fail(__FILE__, __LINE__, text);    \
    }                                                        \
  } while (false)

#define CHECK_THROWS(exception, expression)                                                       \
  do {                                                                                            \
    bool thrown = false;                                                                          \
    try {                                                                                         \
      expression;                                                                                 \
    } catch (const exception&) {                                                                  \
      thrown = true;                                                                              \
    }                                                                                             \
    if (!thrown) ::fastseq::testing::fail(__FILE__, __LINE__, #expression " throws " #exception); \
  } while (false)
