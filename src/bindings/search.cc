// GreedySearch and BeamSearch: the caller computes the logits, the core chooses.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "answers.h"
#include "array.h"
#include "search/beam.h"
#include "search/constrained_beam.h"
#include "search/greedy.h"
#include "search/sample.h"
#include "search_options.h"

namespace fastseq::bindings {
namespace {

/// A search and the lock that makes its use from several threads an order of calls and not a data race. The
/// lock is only ever waited for with the GIL released.
template <typename Algorithm>
class LockedSearch {
 public:
  LockedSearch(int64_t batch_size, const py::dict& options, const std::optional<py::dict>& outputs, bool trace)
      : search_(batch_size, parse_search_options(options)), outputs_(parse_outputs(outputs)), stream_(search_) {
    if (trace || outputs_.options().any()) search_.keep_trace();
  }

  py::array_t<int32_t> ids() {
    return vector_to_array(copy<int32_t>([&] { return search_.ids(); }));
  }
  py::array_t<int64_t> parents() {
    return vector_to_array(copy<int64_t>([&] { return search_.parents(); }));
  }
  py::array_t<int64_t> sentences() {
    return vector_to_array(copy<int64_t>([&] { return search_.sentences(); }));
  }

  bool done() {
    return locked([&] { return search_.done(); });
  }

  void advance(const FloatArray& logits, const std::optional<FloatArray>& attention) {
    require_shape(logits, "logits", {kAny, kAny});
    if (outputs_.options().attention || search_.needs_attention()) {
      if (!attention) throw std::invalid_argument("attention is wanted; advance got none");
      require_shape(*attention, "attention", {logits.shape(0), kAny});
    }
    const float* weights = data_or_null(attention);
    const int64_t source_length = attention ? attention->shape(attention->ndim() - 1) : 0;
    const float* data = logits.data();
    const int64_t rows = logits.shape(0);
    const int64_t vocab_size = logits.shape(1);
    locked([&] {
      const bool running = !search_.done();
      const std::vector<int64_t> sizes(static_cast<std::size_t>(rows), source_length);
      search_.advance(data, rows, vocab_size, weights, sizes);
      if (running) outputs_.add(data, rows, vocab_size, weights, sizes);
    });
  }

  void stop() {
    locked([&] { search_.stop(); });
  }

  py::list news() {
    return news_to_python(locked([&] {
      if (search_.trace() == nullptr) throw std::invalid_argument("news: the search keeps no trace");
      return stream_.read(search_);
    }));
  }

  py::list result() {
    return answers_to_python(locked([&] { return outputs_.answers(search_.result(), search_.trace()); }),
                             outputs_.options());
  }

  py::tuple trace() {
    const std::optional<SearchTrace> copy = locked(
        [&] { return search_.trace() != nullptr ? std::optional<SearchTrace>(*search_.trace()) : std::nullopt; });
    return trace_to_python(copy ? &*copy : nullptr);
  }

 private:
  template <typename Work>
  std::invoke_result_t<const Work&> locked(const Work& work) {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    return work();
  }

  template <typename T, typename View>
  std::vector<T> copy(const View& view) {
    return locked([&] {
      const std::span<const T> values = view();
      return std::vector<T>(values.begin(), values.end());
    });
  }

  std::mutex mutex_;
  Algorithm search_;
  StepOutputs outputs_;
  TokenStream stream_;
};

template <typename Algorithm>
void register_algorithm(py::module_& m, const char* name) {
  using Class = LockedSearch<Algorithm>;
  py::class_<Class>(m, name)
      .def(py::init<int64_t, const py::dict&, const std::optional<py::dict>&, bool>(), py::arg("batch_size"),
           py::arg("options"), py::arg("outputs") = py::none(), py::arg("trace") = false)
      .def_property_readonly("ids", &Class::ids)
      .def_property_readonly("parents", &Class::parents)
      .def_property_readonly("sentences", &Class::sentences)
      .def_property_readonly("done", &Class::done)
      .def("advance", &Class::advance, py::arg("logits").noconvert(), py::arg("attention").noconvert() = py::none())
      .def("stop", &Class::stop)
      .def("news", &Class::news)
      .def("trace", &Class::trace)
      .def("result", &Class::result);
}

}  // namespace

void register_search(py::module_& m) {
  register_algorithm<GreedySearch>(m, "GreedySearch");
  register_algorithm<SampleSearch>(m, "SampleSearch");
  register_algorithm<BeamSearch>(m, "BeamSearch");
  register_algorithm<ConstrainedBeamSearch>(m, "ConstrainedBeamSearch");
}

}  // namespace fastseq::bindings
