#include <cstdlib>
#include <stdexcept>
#include <string>

#include "arrays.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

TEST(every_kernel_is_registered_for_every_instruction_set) {
  for_each_isa([](const KernelTable& table) {
    CHECK(table.lanes > 0 && 16 % table.lanes == 0);
    CHECK(table.matmul_vectors >= 1 && table.matmul_vectors <= 4);
#define FASTSEQ_KERNEL(result, name, arguments) CHECK(table.name != nullptr);
#include "kernels/kernels.def"
#undef FASTSEQ_KERNEL
  });
}

TEST(the_portable_set_always_exists_and_comes_first) {
  CHECK(!available_isas().empty());
  CHECK_EQ(available_isas().front(), "scalar");
}

TEST(use_isa_changes_the_kernels_in_use) {
  const std::string before = kernels().isa;
  for (const auto isa : available_isas()) {
    use_isa(isa);
    CHECK_EQ(std::string(kernels().isa), isa);
  }
  use_isa(before);
  CHECK_EQ(std::string(kernels().isa), before);
}

TEST(an_unknown_instruction_set_is_refused_with_the_known_ones) {
  CHECK_THROWS(std::invalid_argument, use_isa("mmx"));
  try {
    kernels_for("mmx");
  } catch (const std::invalid_argument& error) {
    const std::string message = error.what();
    CHECK(message.find("mmx") != std::string::npos);
    CHECK(message.find("scalar") != std::string::npos);
  }
}

TEST(the_comparisons_of_these_tests_notice_one_wrong_element) {
  const Floats right = random_floats(100, 1);
  const Doubles exact(right.begin(), right.end()), bound(100, 1e-6);
  CHECK_EQ(difference(right, right, ""), "");
  CHECK_EQ(excess(right, exact, bound, ""), "");
  Floats wrong = right;
  wrong[37] = std::nextafter(wrong[37], 2.0f);
  CHECK(difference(wrong, right, "").find("element 37") != std::string::npos);
  wrong[37] += 1e-5f;
  CHECK(excess(wrong, exact, bound, "").find("element 37") != std::string::npos);
  wrong[37] = kNan;
  CHECK(excess(wrong, exact, bound, "").find("element 37") != std::string::npos);
  CHECK(!difference({0.0f}, {-0.0f}, "").empty());
}
