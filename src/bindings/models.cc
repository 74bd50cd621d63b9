// Whole models: encoder, decode loop and search run in C++ with the GIL released.
#include <algorithm>

#include "model_arguments.h"
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
  c.bridge =
      choice<Bridge>(config, "bridge", {{"copy", Bridge::kCopy}, {"dense", Bridge::kDense}, {"zero", Bridge::kZero}});
  c.attention = choice<AttentionKind>(config, "attention",
                                      {{"none", AttentionKind::kNone},
                                       {"additive", AttentionKind::kAdditive},
                                       {"dot", AttentionKind::kDot},
                                       {"general", AttentionKind::kGeneral}});
  if (c.attention == AttentionKind::kAdditive) c.attention_size = positive(config, "attention_size");
  c.input_feeding = read<bool>(config, "input_feeding");
  if (c.input_feeding && c.attention == AttentionKind::kNone) {
    throw std::invalid_argument("config: input_feeding needs an attention");
  }
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

}  // namespace

FloatArray encode(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets) {
  const Ragged source = ragged(ids, offsets, "ids", model.source_vocab_size(), model.max_positions());
  FloatArray memory({ids.size(), static_cast<py::ssize_t>(model.memory_size())});
  float* to = memory.mutable_data();
  py::gil_scoped_release release;
  model.encode(source, to);
  return memory;
}

py::tuple decode(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const Int32Array& target_ids,
                 const Int64Array& target_offsets, bool return_attention) {
  const Ragged source = ragged(ids, offsets, "ids", model.source_vocab_size(), model.max_positions());
  const Ragged target =
      ragged(target_ids, target_offsets, "target_ids", model.target_vocab_size(), model.max_positions());
  if (source.batch_size != target.batch_size) {
    throw std::invalid_argument("target_offsets has " + std::to_string(target.batch_size) +
                                " sequences; expected as many as offsets, " + std::to_string(source.batch_size));
  }
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

py::list generate(const Seq2Seq& model, const Int32Array& ids, const Int64Array& offsets, const py::dict& options) {
  const Ragged source = ragged(ids, offsets, "ids", model.source_vocab_size(), model.max_positions());
  const SearchOptions parsed = parse_search_options(options);
  if (parsed.start_id >= model.target_vocab_size()) {
    throw std::invalid_argument("start_id is " + std::to_string(parsed.start_id) + "; expected an id below " +
                                std::to_string(model.target_vocab_size()));
  }
  if (model.max_positions() > 0 && parsed.max_length - 1 > model.max_positions()) {
    throw std::invalid_argument("max_length is " + std::to_string(parsed.max_length) +
                                "; the model has positions for " + std::to_string(model.max_positions()));
  }
  std::vector<std::vector<Hypothesis>> results;
  run_interruptibly([&](Cancellation& cancellation) { results = model.generate(source, parsed, cancellation); });
  return hypotheses_to_python(results);
}

void register_models(py::module_& m) {
  py::class_<Seq2Seq>(m, "Seq2Seq");
  register_seq2seq<RecurrentSeq2Seq>(m, "RecurrentSeq2Seq", recurrent_config);
}

}  // namespace fastseq::bindings
