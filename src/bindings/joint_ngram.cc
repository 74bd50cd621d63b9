// Joint n-gram models of source and target.
#include "models/joint_ngram.h"

#include <pybind11/pybind11.h>

#include <memory>
#include <span>

#include "array.h"
#include "model_arguments.h"

namespace fastseq::bindings {
namespace {

template <typename T>
std::span<const T> values(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

std::unique_ptr<JointNgram> make(int64_t source_vocab_size, int64_t target_vocab_size, const Int32Array& unit_sources,
                                 const Int32Array& unit_targets, const Int32Array& units,
                                 const Int32Array& num_children, const FloatArray& log_probs,
                                 const FloatArray& backoffs) {
  if (source_vocab_size < 0 || target_vocab_size < 0) throw std::invalid_argument("vocabulary sizes are below 0");
  require_shape(unit_sources, "unit_sources", {kAny});
  require_shape(unit_targets, "unit_targets", {unit_sources.size(), kAny});
  require_shape(units, "units", {kAny});
  require_shape(num_children, "num_children", {units.size()});
  require_shape(log_probs, "log_probs", {units.size()});
  require_shape(backoffs, "backoffs", {units.size()});
  const JointUnits joint{values(unit_sources), values(unit_targets), unit_targets.shape(1)};
  const NgramNodes nodes{values(units), values(num_children), values(log_probs), values(backoffs)};
  py::gil_scoped_release release;
  return std::make_unique<JointNgram>(source_vocab_size, target_vocab_size, joint, nodes);
}

FloatArray score_pairs(const JointNgram& model, const Int32Array& ids, const Int64Array& offsets,
                       const Int32Array& target_ids, const Int64Array& target_offsets) {
  const Ragged source = ragged(ids, offsets, "ids", model.source_vocab_size(), 0);
  const Ragged target = ragged(target_ids, target_offsets, "target_ids", model.target_vocab_size(), 0);
  require_shape(target_offsets, "target_offsets", {source.batch_size + 1});
  FloatArray result(source.batch_size);
  float* to = result.mutable_data();
  run_interruptibly([&](Cancellation& cancellation) { model.score(source, target, to, cancellation); });
  return result;
}

}  // namespace

void register_joint_ngram(py::module_& m) {
  using py::arg;
  py::class_<JointNgram>(m, "JointNgram")
      .def(py::init(&make), arg("source_vocab_size"), arg("target_vocab_size"), arg("unit_sources"),
           arg("unit_targets"), arg("units"), arg("num_children"), arg("log_probs"), arg("backoffs"))
      .def("score", &score_pairs, arg("ids"), arg("offsets"), arg("target_ids"), arg("target_offsets"));
}

}  // namespace fastseq::bindings
