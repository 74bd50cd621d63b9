// Search and scoring of whole models.
#pragma once

#include <optional>

#include "array.h"
#include "models/seq2seq.h"

namespace fastseq::bindings {

py::list generate(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const py::dict& options,
                  const std::optional<py::dict>& outputs);
FloatArray score(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const Int32Array& target_ids,
                 const Int64Array& target_offsets, const Int32Array& following);
/// Decoding and Ensemble.
void register_generation(py::module_& m);

}  // namespace fastseq::bindings
