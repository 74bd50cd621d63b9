#include "generation.h"

#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "answers.h"
#include "model_arguments.h"
#include "models/decoding.h"
#include "models/ensemble.h"
#include "search_options.h"

namespace fastseq::bindings {
namespace {

/// The options of a search, as far as they must fit the model.
SearchOptions options_for(const Seq2Seq& model, const py::dict& options, int64_t batch_size) {
  const SearchOptions parsed = parse_search_options(options);
  check_options(parsed, batch_size);
  if (parsed.start_id >= model.target_vocab_size()) {
    throw std::invalid_argument("start_id is " + std::to_string(parsed.start_id) + "; expected an id below " +
                                std::to_string(model.target_vocab_size()));
  }
  const int64_t longest = parsed.longest_length();
  if (model.max_positions() > 0 && longest - 1 > model.max_positions()) {
    throw std::invalid_argument("max_length is " + std::to_string(longest) + "; the model has positions for " +
                                std::to_string(model.max_positions()));
  }
  return parsed;
}

OutputOptions outputs_for(const Seq2Seq& model, const std::optional<py::dict>& outputs) {
  const OutputOptions parsed = parse_outputs(outputs);
  if (parsed.attention && !model.attends()) throw std::invalid_argument("attention is wanted; this model has none");
  return parsed;
}

/// A search that Python takes step by step, and the lock that makes its use from several threads an order of calls.
/// The lock is only ever waited for with the GIL released.
class LockedDecoding {
 public:
  LockedDecoding(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const py::dict& options,
                 const std::optional<py::dict>& outputs)
      : outputs_(outputs_for(model, outputs)) {
    const Ragged source = source_of(model, ids, offsets);
    const SearchOptions parsed = options_for(model, options, source.batch_size);
    const py::gil_scoped_release release;
    decoding_ = std::make_unique<Decoding>(model, source, parsed, outputs_, true);
  }

  bool done() {
    return locked([&] { return decoding_->done(); });
  }
  void step() {
    locked([&] { decoding_->step(); });
  }
  void stop() {
    locked([&] { decoding_->stop(); });
  }
  py::list news() {
    return news_to_python(locked([&] { return decoding_->news(); }));
  }
  py::list result() {
    return answers_to_python(locked([&] { return decoding_->answers(); }), outputs_);
  }
  py::tuple trace() {
    const SearchTrace copy = locked([&] { return *decoding_->search().trace(); });
    return trace_to_python(&copy);
  }

 private:
  template <typename Work>
  std::invoke_result_t<const Work&> locked(const Work& work) {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    return work();
  }

  const OutputOptions outputs_;
  std::mutex mutex_;
  std::unique_ptr<Decoding> decoding_;
};

std::unique_ptr<Ensemble> make_ensemble(const py::tuple& models, const std::vector<float>& weights,
                                        const std::string& average) {
  if (average != "probability" && average != "log") {
    throw std::invalid_argument("average is '" + average + "'; expected 'probability' or 'log'");
  }
  std::vector<const Seq2Seq*> members;
  for (const py::handle model : models) members.push_back(model.cast<const Seq2Seq*>());
  return std::make_unique<Ensemble>(std::move(members), weights,
                                    average == "log" ? Average::kLog : Average::kProbability);
}

}  // namespace

py::list generate(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const py::dict& options,
                  const std::optional<py::dict>& outputs) {
  const Ragged source = source_of(model, ids, offsets);
  const SearchOptions parsed = options_for(model, options, source.batch_size);
  const OutputOptions wanted = outputs_for(model, outputs);
  std::vector<std::vector<Answer>> results;
  run_interruptibly(
      [&](Cancellation& cancellation) { results = model.generate(source, parsed, wanted, cancellation); });
  return answers_to_python(results, wanted);
}

FloatArray score(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const Int32Array& target_ids,
                 const Int64Array& target_offsets, const Int32Array& following) {
  const Ragged source = source_of(model, ids, offsets);
  const Ragged target = target_of(model, target_ids, target_offsets, source.batch_size);
  require_shape(following, "following", {target_ids.size()});
  for (int64_t i = 0; i < following.size(); ++i) {
    if (following.at(i) < 0 || following.at(i) >= model.target_vocab_size()) {
      throw std::invalid_argument("following has id " + std::to_string(following.at(i)) + "; expected ids in [0, " +
                                  std::to_string(model.target_vocab_size()) + ")");
    }
  }
  FloatArray log_probs(target_ids.size());
  const int32_t* next = following.data();
  float* to = log_probs.mutable_data();
  run_interruptibly([&](Cancellation& cancellation) { model.score(source, target, next, to, cancellation); });
  return log_probs;
}

void register_generation(py::module_& m) {
  using py::arg;
  py::class_<LockedDecoding>(m, "Decoding")
      .def(py::init<const Seq2Seq&, const Int32Array&, const Int64Array&, const py::dict&,
                    const std::optional<py::dict>&>(),
           arg("model"), arg("ids"), arg("offsets"), arg("options"), arg("outputs") = py::none(),
           py::keep_alive<1, 2>())
      .def_property_readonly("done", &LockedDecoding::done)
      .def("step", &LockedDecoding::step)
      .def("stop", &LockedDecoding::stop)
      .def("news", &LockedDecoding::news)
      .def("result", &LockedDecoding::result)
      .def("trace", &LockedDecoding::trace);
  py::class_<Ensemble, Seq2Seq>(m, "Ensemble")
      .def(py::init(&make_ensemble), arg("models"), arg("weights"), arg("average"), py::keep_alive<1, 2>());
}

}  // namespace fastseq::bindings
