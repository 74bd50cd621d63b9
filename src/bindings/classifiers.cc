// Encoder-decoders that label what they read.
#include <optional>
#include <span>

#include "model_arguments.h"
#include "models/transformer_classifier.h"
#include "transformer_arguments.h"

namespace fastseq::bindings {
namespace {

TransformerClassifierConfig classifier_config(const py::dict& config) {
  TransformerClassifierConfig c;
  c.encoder = stack_config(config, "encoder");
  c.decoder = stack_config(config, "decoder");
  c.shared_embedding = read<bool>(config, "shared_embedding");
  c.head.labels = positive(config, "num_labels");
  c.head.dense = read<bool>(config, "head_dense");
  c.head.activation = Activation::kTanh;
  if (c.encoder.cross_attention || !c.decoder.cross_attention || c.decoder.ssru ||
      c.encoder.hidden_size != c.decoder.hidden_size || c.encoder.vocab_size != c.decoder.vocab_size) {
    throw std::invalid_argument(
        "config: the decoder of a classifier must have self-attention, attend to an encoder of its own width, and "
        "read the same vocabulary");
  }
  if (c.shared_embedding && c.encoder.table_width() != c.decoder.table_width()) {
    throw std::invalid_argument("config: a shared embedding needs one width");
  }
  return c;
}

void require_places(const Int64Array& places, int64_t tokens) {
  require_shape(places, "places", {kAny});
  int64_t least = 0;
  for (int64_t r = 0; r < places.size(); ++r) {
    if (places.at(r) < least || places.at(r) >= tokens) {
      throw std::invalid_argument("places must rise, each below the number of tokens, " + std::to_string(tokens));
    }
    least = places.at(r) + 1;
  }
}

FloatArray classifier_logits(const TransformerClassifier& model, const Int32Array& ids, const Int64Array& offsets,
                             const Int32Array& decoder_ids, const std::optional<Int64Array>& places) {
  const TransformerStackConfig& decoder = model.config().decoder;
  const Ragged source = ragged(ids, offsets, "ids", decoder.vocab_size, model.config().encoder.max_positions);
  require_shape(decoder_ids, "decoder_ids", {ids.size()});
  ragged(decoder_ids, offsets, "decoder_ids", decoder.vocab_size, decoder.max_positions);
  if (places) require_places(*places, ids.size());
  FloatArray result({places ? places->size() : ids.size(), static_cast<py::ssize_t>(model.config().head.labels)});
  float* to = result.mutable_data();
  const int32_t* read = decoder_ids.data();
  std::optional<std::span<const int64_t>> chosen;
  if (places) chosen.emplace(places->data(), static_cast<std::size_t>(places->size()));
  py::gil_scoped_release release;
  model.logits(source, read, chosen, to);
  return result;
}

}  // namespace

void register_classifiers(py::module_& m) {
  using py::arg;
  py::class_<TransformerClassifier>(m, "TransformerClassifier")
      .def(model_constructor<TransformerClassifier>(classifier_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32")
      .def("weights", &weights_of<TransformerClassifier>)
      .def("logits", &classifier_logits, arg("ids"), arg("offsets"), arg("decoder_ids"), arg("places").none(true));
}

}  // namespace fastseq::bindings
