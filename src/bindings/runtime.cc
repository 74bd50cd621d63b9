// Threads, instruction sets, and what this build is.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "kernels/kernels.h"
#include "runtime/cpu.h"
#include "runtime/thread_pool.h"

namespace py = pybind11;

namespace fastseq::bindings {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#elif defined(_MSC_VER)
  return "msvc " + std::to_string(_MSC_VER);
#else
  return "unknown";
#endif
}

py::dict config() {
  py::list isas;
  for (const std::string_view name : available_isas()) isas.append(std::string(name));
  py::dict result;
  result["version"] = FASTSEQ_VERSION;
  result["isa"] = kernels().isa;
  result["available_isas"] = isas;
  result["num_threads"] = num_threads();
  result["available_processors"] = available_processors();
  result["compiler"] = compiler();
  return result;
}

}  // namespace

void register_runtime(py::module_& m) {
  m.def("set_num_threads", &set_num_threads, py::arg("num_threads"));
  m.def("get_num_threads", &num_threads);
  m.def("config", &config);
  m.def(
      "use_isa", [](const std::string& isa) { use_isa(isa); }, py::arg("isa"));
}

}  // namespace fastseq::bindings
