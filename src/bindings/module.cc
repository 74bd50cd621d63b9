// fastseq._core: registers each family of bindings.
#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace fastseq::bindings {
void register_runtime(py::module_& m);
void register_kernels(py::module_& m);
void register_layers(py::module_& m);
void register_packing(py::module_& m);
void register_variants(py::module_& m);
void register_search(py::module_& m);
void register_models(py::module_& m);
void register_transformers(py::module_& m);
void register_classifiers(py::module_& m);
void register_joint_ngram(py::module_& m);
}  // namespace fastseq::bindings

// The module keeps no state that the GIL would have to protect: free-threaded Python may run it as it is.
PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled kernels, layers, models and search of fastseq.";
  fastseq::bindings::register_runtime(m);
  fastseq::bindings::register_kernels(m);
  fastseq::bindings::register_layers(m);
  fastseq::bindings::register_packing(m);
  fastseq::bindings::register_variants(m);
  fastseq::bindings::register_search(m);
  fastseq::bindings::register_models(m);
  fastseq::bindings::register_transformers(m);
  fastseq::bindings::register_classifiers(m);
  fastseq::bindings::register_joint_ngram(m);
}
