// Whole models: encoder, decode loop and search run in C++ with the GIL released.
#include <algorithm>

#include "generation.h"
#include "model_arguments.h"
#include "models/deep_recurrent_seq2seq.h"
#include "models/recurrent_seq2seq.h"
#include "recurrent_weights.h"

namespace fastseq::bindings {
namespace {

RecurrentSeq2SeqConfig recurrent_config(const py::dict& config) {
  RecurrentSeq2SeqConfig c;
  c.cell = parse_cell(read<std::string>(config, "cell"));
  c.source_vocab_size = positive(config, "source_vocab_size");
  c.target_vocab_size = positive(config, "target_vocab_size");
  c.source_embedding_size = positive(config, "source_embedding_size");
  c.target_embedding_size = positive(config, "target_embedding_size");
  c.encoder_hidden_size = positive(config, "encoder_hidden_size");
  c.encoder_num_layers = positive(config, "encoder_num_layers");
  c.encoder_bidirectional = read<bool>(config, "encoder_bidirectional");
  c.decoder_hidden_size = positive(config, "decoder_hidden_size");
  c.decoder_num_layers = positive(config, "decoder_num_layers");
  c.bridge = choice<Bridge>(
      config, "bridge",
      {{"copy", Bridge::kCopy}, {"linear", Bridge::kLinear}, {"dense", Bridge::kDense}, {"zero", Bridge::kZero}});
  c.attention = choice<AttentionKind>(config, "attention",
                                      {{"none", AttentionKind::kNone},
                                       {"additive", AttentionKind::kAdditive},
                                       {"dot", AttentionKind::kDot},
                                       {"general", AttentionKind::kGeneral}});
  if (c.attention == AttentionKind::kAdditive) c.attention_size = positive(config, "attention_size");
  c.input_feeding = read<bool>(config, "input_feeding");
  c.combine_activation =
      choice<Activation>(config, "combine_activation", {{"tanh", Activation::kTanh}, {"none", Activation::kNone}});
  if (c.attention == AttentionKind::kDot && c.memory_size() != c.decoder_hidden_size) {
    throw std::invalid_argument("config: dot attention needs decoder_hidden_size equal to the encoder's width");
  }
  if (c.bridge == Bridge::kCopy && c.memory_size() != c.decoder_hidden_size) {
    throw std::invalid_argument("config: bridge copy needs decoder_hidden_size equal to the encoder's width");
  }
  if (c.bridge != Bridge::kZero && c.decoder_num_layers > c.encoder_num_layers) {
    throw std::invalid_argument("config: this bridge needs an encoder layer for each decoder layer");
  }
  return c;
}

TransitionOptions transition_options(const py::dict& config, const char* key, bool layer_norm) {
  const auto kind = choice<TransitionKind>(config, key,
                                           {{"rnn_tanh", TransitionKind::kTanh},
                                            {"rnn_relu", TransitionKind::kRelu},
                                            {"lstm", TransitionKind::kLstm},
                                            {"gru", TransitionKind::kGru},
                                            {"gru_nematus", TransitionKind::kGruNematus},
                                            {"multiplicative_lstm", TransitionKind::kMultiplicativeLstm},
                                            {"multiplicative_gru", TransitionKind::kMultiplicativeGru}});
  return {kind, layer_norm};
}

DeepRecurrentSeq2SeqConfig deep_config(const py::dict& config) {
  DeepRecurrentSeq2SeqConfig c;
  c.source_vocab_size = positive(config, "source_vocab_size");
  c.target_vocab_size = positive(config, "target_vocab_size");
  c.embedding_size = positive(config, "embedding_size");
  c.hidden_size = positive(config, "hidden_size");
  c.encoder_type = choice<DeepEncoder>(config, "encoder_type",
                                       {{"bidirectional", DeepEncoder::kBidirectional},
                                        {"alternating", DeepEncoder::kAlternating},
                                        {"bi-unidirectional", DeepEncoder::kBiUnidirectional}});
  c.encoder_num_layers = positive(config, "encoder_num_layers");
  c.encoder_depth = positive(config, "encoder_depth");
  c.decoder_num_layers = positive(config, "decoder_num_layers");
  c.decoder_base_depth = positive(config, "decoder_base_depth");
  c.decoder_high_depth = positive(config, "decoder_high_depth");
  c.layer_norm = read<bool>(config, "layer_norm");
  c.encoder_cell = transition_options(config, "encoder_cell", c.layer_norm);
  c.decoder_cell = transition_options(config, "decoder_cell", c.layer_norm);
  c.skip = read<bool>(config, "skip");
  if (c.decoder_base_depth < 2) throw std::invalid_argument("config: decoder_base_depth must be at least 2");
  return c;
}

FloatArray encode(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets) {
  const Ragged source = source_of(model, ids, offsets);
  FloatArray memory({ids.size(), static_cast<py::ssize_t>(model.memory_size())});
  float* to = memory.mutable_data();
  py::gil_scoped_release release;
  model.encode(source, to);
  return memory;
}

py::tuple decode(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const Int32Array& target_ids,
                 const Int64Array& target_offsets, bool return_attention) {
  const Ragged source = source_of(model, ids, offsets);
  const Ragged target = target_of(model, target_ids, target_offsets, source.batch_size);
  FloatArray logits({target_ids.size(), static_cast<py::ssize_t>(model.target_vocab_size())});
  float* to = logits.mutable_data();
  const bool attends = return_attention && model.attends();
  py::list attention;
  Buffer<float> weights;
  if (attends) {
    int64_t size = 0;
    for (int64_t b = 0; b < source.batch_size; ++b) size += target.length(b) * source.length(b);
    weights = Buffer<float>(std::max<int64_t>(size, 1));
  }
  run_interruptibly(
      [&](Cancellation& cancellation) { model.decode(source, target, to, weights.data(), cancellation); });
  if (!attends) return py::make_tuple(logits, py::none());
  const float* from = weights.data();
  for (int64_t b = 0; b < source.batch_size; ++b) {
    FloatArray matrix({target.length(b), source.length(b)});
    std::copy_n(from, matrix.size(), matrix.mutable_data());
    from += matrix.size();
    attention.append(std::move(matrix));
  }
  return py::make_tuple(logits, attention);
}

}  // namespace

void register_models(py::module_& m) {
  using py::arg;
  py::class_<Seq2Seq>(m, "Seq2Seq")
      .def("weights", &weights_of<Seq2Seq>)
      .def("encode", &encode, arg("ids"), arg("offsets"))
      .def("decode", &decode, arg("ids"), arg("offsets"), arg("target_ids"), arg("target_offsets"),
           arg("return_attention") = false)
      .def("score", &score, arg("ids"), arg("offsets"), arg("target_ids"), arg("target_offsets"), arg("following"))
      .def("generate", &generate, arg("ids"), arg("offsets"), arg("options"), arg("outputs") = py::none());
  py::class_<RecurrentSeq2Seq, Seq2Seq>(m, "RecurrentSeq2Seq")
      .def(model_constructor<RecurrentSeq2Seq>(recurrent_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32");
  py::class_<DeepRecurrentSeq2Seq, Seq2Seq>(m, "DeepRecurrentSeq2Seq")
      .def(model_constructor<DeepRecurrentSeq2Seq>(deep_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32");
  register_generation(m);
}

}  // namespace fastseq::bindings
