#include "search_options.h"

#include <memory>
#include <optional>
#include <utility>

namespace fastseq::bindings {
namespace {

template <typename T>
T read_option(const py::dict& options, const char* key) {
  return read_entry<T>(options, "options", key);
}

using Ids = std::vector<int32_t>;

EarlyStopping parse_early_stopping(const py::dict& options) {
  const auto value = read_option<py::object>(options, "early_stopping");
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>() ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  if (py::isinstance<py::str>(value) && value.cast<std::string>() == "never") return EarlyStopping::kNever;
  throw std::invalid_argument("early_stopping is " + py::repr(value).cast<std::string>() +
                              "; expected True, False or 'never'");
}

ProcessorOptions parse_processors(const py::dict& options) {
  ProcessorOptions parsed;
  for (auto& [tokens, bias] : read_option<std::vector<std::pair<Ids, float>>>(options, "sequence_bias")) {
    parsed.sequence_bias.push_back({std::move(tokens), bias});
  }
  parsed.encoder_repetition_penalty = read_option<double>(options, "encoder_repetition_penalty");
  parsed.repetition_penalty = read_option<double>(options, "repetition_penalty");
  parsed.no_repeat_ngram_size = read_option<int64_t>(options, "no_repeat_ngram_size");
  parsed.encoder_no_repeat_ngram_size = read_option<int64_t>(options, "encoder_no_repeat_ngram_size");
  parsed.bad_words_ids = read_option<std::vector<Ids>>(options, "bad_words_ids");
  parsed.forced_bos_token_id = read_option<std::optional<int32_t>>(options, "forced_bos_token_id");
  parsed.forced_eos_token_id = read_option<Ids>(options, "forced_eos_token_id");
  if (const auto decay =
          read_option<std::optional<std::pair<int64_t, double>>>(options, "exponential_decay_length_penalty")) {
    parsed.exponential_decay = ExponentialDecay{decay->first, decay->second};
  }
  parsed.suppress_tokens = read_option<Ids>(options, "suppress_tokens");
  parsed.begin_suppress_tokens = read_option<Ids>(options, "begin_suppress_tokens");
  return parsed;
}

}  // namespace

SearchOptions parse_search_options(const py::dict& options) {
  SearchOptions parsed;
  parsed.num_beams = read_option<int64_t>(options, "num_beams");
  parsed.num_return_sequences = read_option<int64_t>(options, "num_return_sequences");
  parsed.max_length = read_option<int64_t>(options, "max_length");
  parsed.max_new_tokens = read_option<std::optional<int64_t>>(options, "max_new_tokens").value_or(-1);
  parsed.min_length = read_option<int64_t>(options, "min_length");
  parsed.min_new_tokens = read_option<int64_t>(options, "min_new_tokens");
  parsed.length_penalty = read_option<double>(options, "length_penalty");
  parsed.early_stopping = parse_early_stopping(options);
  parsed.start_id = read_option<int32_t>(options, "start_id");
  parsed.eos_ids = read_option<Ids>(options, "eos_ids");
  parsed.processors = parse_processors(options);
  auto sentences = std::make_shared<SentenceOptions>();
  sentences->prefixes = read_option<std::vector<Ids>>(options, "prefix");
  sentences->encoder_input_ids = read_option<std::vector<Ids>>(options, "encoder_input_ids");
  parsed.sentences = std::move(sentences);
  return parsed;
}

}  // namespace fastseq::bindings
