// Transformers of every kind, from their descriptions.
#include <algorithm>
#include <limits>

#include "generation.h"
#include "model_arguments.h"
#include "models/transformer_seq2seq.h"
#include "transformer_arguments.h"

namespace fastseq::bindings {
namespace {

Activation read_activation(const py::dict& config, const char* key) {
  return choice<Activation>(config, key,
                            {{"none", Activation::kNone},
                             {"relu", Activation::kRelu},
                             {"gelu", Activation::kGelu},
                             {"gelu_tanh", Activation::kGeluTanh},
                             {"silu", Activation::kSilu},
                             {"tanh", Activation::kTanh}});
}

int64_t not_negative(const py::dict& config, const char* key) {
  const auto value = read<int64_t>(config, key);
  if (value < 0) throw std::invalid_argument(std::string("config: ") + key + " must be at least 0");
  return value;
}

/// Rows of vectors of distances: from 0 on, never decreasing, and as many before distance 0 as behind it.
void require_relative(const TransformerStackConfig& c) {
  const std::vector<int64_t>& rows = c.relative_rows;
  const bool ordered = std::is_sorted(rows.begin(), rows.end()) && (rows.empty() || rows.front() == 0);
  if (!ordered || (!rows.empty() && (rows.size() % 2 == 0 || rows.back() >= static_cast<int64_t>(rows.size())))) {
    throw std::invalid_argument("config: relative_rows are not those of the distances from -M to M");
  }
  if (rows.empty() == (c.relative_keys || c.relative_queries) || (!rows.empty() && c.relative_positions > 0)) {
    throw std::invalid_argument(
        "config: relative_rows go with relative_keys or relative_queries, and without relative_positions");
  }
}

/// What the steps of a decoder do not have.
void require_decoder(const TransformerStackConfig& c) {
  if (c.relative_vectors() > 0 || c.convolution > 0) {
    throw std::invalid_argument("config: only an encoder may have vectors of distances or a convolution");
  }
  if (!c.rotary.empty() || !c.windows.empty()) {
    throw std::invalid_argument("config: only an encoder may have rotary positions or windows");
  }
}

/// One value of at least `least` for each layer, or none.
template <typename T>
void require_layer_values(const std::vector<T>& values, const std::vector<int64_t>& layers, const char* name, T least) {
  const bool fits = std::all_of(values.begin(), values.end(), [&](T value) { return value >= least; });
  if (!fits || (!values.empty() && values.size() != layers.size())) {
    throw std::invalid_argument(std::string("config: ") + name + " must have a number for each layer, or none");
  }
}

}  // namespace

TransformerStackConfig stack_config(const py::dict& config, const char* part) {
  const auto fields = read<py::dict>(config, part);
  TransformerStackConfig c;
  c.vocab_size = positive(fields, "vocab_size");
  c.hidden_size = positive(fields, "hidden_size");
  c.embedding_size = not_negative(fields, "embedding_size");
  c.layers = read<std::vector<int64_t>>(fields, "layers");
  const auto layer_count = static_cast<int64_t>(c.layers.size());
  for (const int64_t layer : c.layers) {
    if (layer < 0 || layer >= layer_count) throw std::invalid_argument("config: layers has a number out of range");
  }
  c.num_heads = positive(fields, "num_heads");
  c.head_size = positive(fields, "head_size");
  c.intermediate_size = positive(fields, "intermediate_size");
  c.activation = read_activation(fields, "activation");
  c.gated = read<bool>(fields, "gated");
  c.norm = choice<NormKind>(fields, "norm", {{"layer", NormKind::kLayer}, {"rms", NormKind::kRms}});
  c.norm_eps = read<float>(fields, "norm_eps");
  c.norm_bias = read<bool>(fields, "norm_bias");
  c.norm_first = read<bool>(fields, "norm_first");
  c.first_norm = read<bool>(fields, "first_norm");
  c.final_norm = read<bool>(fields, "final_norm");
  c.embedding_norm = read<bool>(fields, "embedding_norm");
  c.embedding_scale = read<float>(fields, "embedding_scale");
  c.positions = choice<Positions>(
      fields, "positions",
      {{"none", Positions::kNone}, {"table", Positions::kTable}, {"sinusoidal", Positions::kSinusoidal}});
  c.max_positions = not_negative(fields, "max_positions");
  c.position_offset = not_negative(fields, "position_offset");
  c.token_types = not_negative(fields, "token_types");
  c.relative_positions = not_negative(fields, "relative_positions");
  c.relative_layers = read<bool>(fields, "relative_layers");
  c.relative_rows = read<std::vector<int64_t>>(fields, "relative_rows");
  c.relative_keys = read<bool>(fields, "relative_keys");
  c.relative_queries = read<bool>(fields, "relative_queries");
  require_relative(c);
  c.convolution = not_negative(fields, "convolution");
  c.convolution_activation = read_activation(fields, "convolution_activation");
  c.rotary = read<std::vector<float>>(fields, "rotary");
  c.windows = read<std::vector<int64_t>>(fields, "windows");
  c.attention_scale = read<float>(fields, "attention_scale");
  c.cross_attention = read<bool>(fields, "cross_attention");
  c.ssru = read<bool>(fields, "ssru");
  if (c.ssru && !c.cross_attention) throw std::invalid_argument("config: only a decoder with an encoder may have SSRU");
  if (part == std::string("decoder")) require_decoder(c);
  if (!c.first_norm && !c.norm_first)
    throw std::invalid_argument("config: without first_norm, norm_first must be true");
  require_layer_values(c.rotary, c.layers, "rotary", std::numeric_limits<float>::min());
  require_layer_values(c.windows, c.layers, "windows", int64_t{0});
  if (!c.rotary.empty() && c.head_size % 2 != 0) throw std::invalid_argument("config: rotary needs an even head_size");
  return c;
}

namespace {

OutputConfig output_config(const py::dict& config) {
  OutputConfig c;
  c.tied = read<bool>(config, "tie_output");
  c.scale = read<float>(config, "logits_scale");
  c.dense = read<bool>(config, "output_dense");
  c.activation = read_activation(config, "output_activation");
  return c;
}

TransformerSeq2SeqConfig seq2seq_config(const py::dict& config) {
  TransformerSeq2SeqConfig c;
  c.encoder = stack_config(config, "encoder");
  c.decoder = stack_config(config, "decoder");
  c.output = output_config(config);
  c.shared_embedding = read<bool>(config, "shared_embedding");
  c.memory_projection = read<bool>(config, "memory_projection");
  const bool fits = c.memory_projection || c.encoder.hidden_size == c.decoder.hidden_size;
  if (!fits || c.encoder.cross_attention || !c.decoder.cross_attention) {
    throw std::invalid_argument("config: the decoder must attend to an encoder of its own width, or to its projection");
  }
  if (c.shared_embedding &&
      (c.encoder.vocab_size != c.decoder.vocab_size || c.encoder.table_width() != c.decoder.table_width())) {
    throw std::invalid_argument("config: a shared embedding needs one vocab_size and one width");
  }
  return c;
}

TransformerDecoderConfig decoder_config(const py::dict& config) {
  TransformerDecoderConfig c;
  c.decoder = stack_config(config, "decoder");
  c.output = output_config(config);
  if (c.decoder.cross_attention) throw std::invalid_argument("config: a decoder alone has nothing to attend to");
  return c;
}

TransformerEncoderConfig encoder_config(const py::dict& config) {
  TransformerEncoderConfig c;
  c.encoder = stack_config(config, "encoder");
  c.head.labels = not_negative(config, "num_labels");
  c.pooling = choice<Pooling>(config, "pooling",
                              {{"none", Pooling::kNone}, {"first", Pooling::kFirst}, {"mean", Pooling::kMean}});
  c.head.dense = read<bool>(config, "head_dense");
  c.head.norm = read<bool>(config, "head_norm");
  c.head.activation = read_activation(config, "head_activation");
  if (c.encoder.cross_attention) throw std::invalid_argument("config: an encoder alone has nothing to attend to");
  return c;
}

void require_prompts(const Int32Array& ids, const Int64Array& offsets) {
  for (int64_t b = 0; b < require_offsets(offsets, "offsets", ids.size()); ++b) {
    if (offsets.at(b) == offsets.at(b + 1)) {
      throw std::invalid_argument("ids[" + std::to_string(b) + "] is empty; expected at least one token");
    }
  }
}

FloatArray prompt_logits(const TransformerLanguageModel& model, const Int32Array& ids, const Int64Array& offsets) {
  const Ragged source = ragged(ids, offsets, "ids", model.source_vocab_size(), model.max_positions());
  FloatArray result({ids.size(), static_cast<py::ssize_t>(model.target_vocab_size())});
  float* to = result.mutable_data();
  py::gil_scoped_release release;
  model.logits(source, to);
  return result;
}

py::list continue_prompts(const TransformerLanguageModel& model, const Int32Array& ids, const Int64Array& offsets,
                          const py::dict& options, const std::optional<py::dict>& outputs) {
  require_prompts(ids, offsets);
  return generate(model, ids, offsets, options, outputs);
}

/// A batch for an encoder, with the type of each token, or null for 0.
struct EncoderBatch {
  EncoderBatch(const TransformerEncoder& model, const Int32Array& ids, const Int64Array& offsets,
               const std::optional<Int32Array>& token_types)
      : source(ragged(ids, offsets, "ids", model.config().encoder.vocab_size, model.config().encoder.max_positions)),
        types(data_or_null(token_types)) {
    if (!token_types) return;
    require_shape(*token_types, "token_types", {ids.size()});
    const int64_t most = std::max<int64_t>(1, model.config().encoder.token_types);
    for (int64_t i = 0; i < ids.size(); ++i) {
      if (types[i] < 0 || types[i] >= most) {
        throw std::invalid_argument("token_types has " + std::to_string(types[i]) + "; expected types in [0, " +
                                    std::to_string(most) + ")");
      }
    }
  }
  Ragged source;
  const int32_t* types;
};

FloatArray encode_tokens(const TransformerEncoder& model, const Int32Array& ids, const Int64Array& offsets,
                         const std::optional<Int32Array>& token_types) {
  const EncoderBatch batch(model, ids, offsets, token_types);
  FloatArray result({ids.size(), static_cast<py::ssize_t>(model.config().encoder.hidden_size)});
  float* to = result.mutable_data();
  py::gil_scoped_release release;
  model.encode(batch.source, batch.types, to);
  return result;
}

FloatArray head_logits(const TransformerEncoder& model, const Int32Array& ids, const Int64Array& offsets,
                       const std::optional<Int32Array>& token_types) {
  const EncoderBatch batch(model, ids, offsets, token_types);
  const bool pooled = model.config().pooling != Pooling::kNone;
  if (model.config().head.labels == 0) throw std::invalid_argument("the model has no head; it can only encode");
  for (int64_t b = 0; pooled && b < batch.source.batch_size; ++b) {
    if (batch.source.length(b) == 0) {
      throw std::invalid_argument("ids[" + std::to_string(b) + "] is empty; expected at least one token");
    }
  }
  const py::ssize_t rows = pooled ? batch.source.batch_size : ids.size();
  FloatArray result({rows, static_cast<py::ssize_t>(model.config().head.labels)});
  float* to = result.mutable_data();
  py::gil_scoped_release release;
  model.logits(batch.source, batch.types, to);
  return result;
}

}  // namespace

void register_transformers(py::module_& m) {
  using py::arg;
  py::class_<TransformerSeq2Seq, Seq2Seq>(m, "TransformerSeq2Seq")
      .def(model_constructor<TransformerSeq2Seq>(seq2seq_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32");
  py::class_<TransformerLanguageModel, Seq2Seq>(m, "TransformerLanguageModel")
      .def(model_constructor<TransformerLanguageModel>(decoder_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32")
      .def("logits", &prompt_logits, arg("ids"), arg("offsets"))
      .def("generate", &continue_prompts, arg("ids"), arg("offsets"), arg("options"), arg("outputs") = py::none());
  py::class_<TransformerEncoder>(m, "TransformerEncoder")
      .def(model_constructor<TransformerEncoder>(encoder_config), arg("config"), arg("tensors"),
           arg("compute_type") = "float32")
      .def("weights", &weights_of<TransformerEncoder>)
      .def("encode", &encode_tokens, arg("ids"), arg("offsets"), arg("token_types").none(true))
      .def("logits", &head_logits, arg("ids"), arg("offsets"), arg("token_types").none(true));
}

}  // namespace fastseq::bindings
