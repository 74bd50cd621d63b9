// GreedySearch and BeamSearch: the caller computes the logits, the core chooses.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "array.h"
#include "search/beam.h"
#include "search/greedy.h"
#include "search_options.h"

namespace fastseq::bindings {
namespace {

template <typename T>
py::array_t<T> to_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

/// A search and the lock that makes its use from several threads an order of calls and not a data race. The
/// lock is only ever waited for with the GIL released.
template <typename Algorithm>
class LockedSearch {
 public:
  LockedSearch(int64_t batch_size, const py::dict& options) : search_(batch_size, parse_search_options(options)) {}

  py::array_t<int32_t> ids() {
    return to_array(copy<int32_t>([&] { return search_.ids(); }));
  }
  py::array_t<int64_t> parents() {
    return to_array(copy<int64_t>([&] { return search_.parents(); }));
  }
  py::array_t<int64_t> sentences() {
    return to_array(copy<int64_t>([&] { return search_.sentences(); }));
  }

  bool done() {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    return search_.done();
  }

  void advance(const FloatArray& logits) {
    require_shape(logits, "logits", {kAny, kAny});
    const float* data = logits.data();
    const int64_t rows = logits.shape(0);
    const int64_t vocab_size = logits.shape(1);
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    search_.advance(data, rows, vocab_size);
  }

  py::list result() {
    std::vector<std::vector<Hypothesis>> results;
    {
      const py::gil_scoped_release release;
      const std::lock_guard lock(mutex_);
      results = search_.result();
    }
    return hypotheses_to_python(results);
  }

 private:
  template <typename T, typename View>
  std::vector<T> copy(const View& view) {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    const std::span<const T> values = view();
    return {values.begin(), values.end()};
  }

  std::mutex mutex_;
  Algorithm search_;
};

template <typename Algorithm>
void register_algorithm(py::module_& m, const char* name) {
  using Class = LockedSearch<Algorithm>;
  py::class_<Class>(m, name)
      .def(py::init<int64_t, const py::dict&>(), py::arg("batch_size"), py::arg("options"))
      .def_property_readonly("ids", &Class::ids)
      .def_property_readonly("parents", &Class::parents)
      .def_property_readonly("sentences", &Class::sentences)
      .def_property_readonly("done", &Class::done)
      .def("advance", &Class::advance, py::arg("logits").noconvert())
      .def("result", &Class::result);
}

}  // namespace

void register_search(py::module_& m) {
  register_algorithm<GreedySearch>(m, "GreedySearch");
  register_algorithm<BeamSearch>(m, "BeamSearch");
}

}  // namespace fastseq::bindings
