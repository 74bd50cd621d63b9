#include "search_options.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "array.h"

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

Preset parse_preset(const py::dict& options) {
  const auto name = read_option<std::string>(options, "preset");
  if (name == "hf") return Preset::kHuggingFace;
  if (name == "ct2") return Preset::kCTranslate2;
  if (name == "marian") return Preset::kMarian;
  throw std::invalid_argument("preset is '" + name + "'; expected 'hf', 'ct2' or 'marian'");
}

SamplingOptions parse_sampling(const py::dict& options) {
  SamplingOptions parsed;
  parsed.do_sample = read_option<bool>(options, "do_sample");
  parsed.temperature = read_option<double>(options, "temperature");
  parsed.top_k = read_option<int64_t>(options, "top_k");
  parsed.top_p = read_option<double>(options, "top_p");
  parsed.min_p = read_option<double>(options, "min_p");
  parsed.typical_p = read_option<double>(options, "typical_p");
  parsed.top_h = read_option<double>(options, "top_h");
  parsed.epsilon_cutoff = read_option<double>(options, "epsilon_cutoff");
  parsed.eta_cutoff = read_option<double>(options, "eta_cutoff");
  return parsed;
}

std::vector<int32_t> call_allowed_tokens(const py::object& allowed, int64_t sentence, std::span<const int32_t> ids) {
  const py::gil_scoped_acquire gil;
  Int64Array array(static_cast<py::ssize_t>(ids.size()));
  std::copy(ids.begin(), ids.end(), array.mutable_data());
  return allowed(sentence, array).cast<std::vector<int32_t>>();
}

void call_processors(const std::vector<py::object>& processors, const int32_t* ids, float* scores, int64_t rows,
                     int64_t length, int64_t vocab_size) {
  const py::gil_scoped_acquire gil;
  Int64Array id_array({rows, length});
  std::copy_n(ids, rows * length, id_array.mutable_data());
  FloatArray changed({rows, vocab_size});
  std::copy_n(scores, rows * vocab_size, changed.mutable_data());
  for (const py::object& processor : processors) changed = processor(id_array, changed).cast<FloatArray>();
  require_shape(changed, "logits_processor: scores", {rows, vocab_size});
  std::copy_n(changed.data(), rows * vocab_size, scores);
}

/// Functions of the caller, which are called, and in the end let go, with the GIL.
std::shared_ptr<const SearchHooks> parse_hooks(const py::dict& options) {
  const auto allowed = read_option<py::object>(options, "prefix_allowed_tokens_fn");
  const auto processors = read_option<std::vector<py::object>>(options, "logits_processor");
  if (allowed.is_none() && processors.empty()) return nullptr;
  auto hooks = std::make_unique<SearchHooks>();
  if (!allowed.is_none()) {
    hooks->allowed_tokens = [allowed](int64_t sentence, std::span<const int32_t> ids) {
      return call_allowed_tokens(allowed, sentence, ids);
    };
  }
  if (!processors.empty()) {
    hooks->process = [processors](const int32_t* ids, float* scores, int64_t rows, int64_t length, int64_t vocab) {
      call_processors(processors, ids, scores, rows, length, vocab);
    };
  }
  return {hooks.release(), [](const SearchHooks* held) {
            const py::gil_scoped_acquire gil;
            delete held;
          }};
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
  parsed.remove_invalid_values = read_option<bool>(options, "remove_invalid_values");
  parsed.renormalize_logits = read_option<bool>(options, "renormalize_logits");
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
  parsed.coverage_penalty = read_option<double>(options, "coverage_penalty");
  parsed.early_stopping = parse_early_stopping(options);
  parsed.patience = read_option<double>(options, "patience");
  parsed.preset = parse_preset(options);
  parsed.num_beam_groups = read_option<int64_t>(options, "num_beam_groups");
  parsed.diversity_penalty = read_option<double>(options, "diversity_penalty");
  parsed.return_alternatives = read_option<bool>(options, "return_alternatives");
  parsed.force_words_ids = read_option<std::vector<std::vector<Ids>>>(options, "force_words_ids");
  parsed.sampling = parse_sampling(options);
  parsed.hooks = parse_hooks(options);
  parsed.start_id = read_option<int32_t>(options, "start_id");
  parsed.eos_ids = read_option<Ids>(options, "eos_ids");
  parsed.processors = parse_processors(options);
  auto sentences = std::make_shared<SentenceOptions>();
  sentences->prompts = read_option<std::vector<Ids>>(options, "prompt");
  sentences->prefixes = read_option<std::vector<Ids>>(options, "prefix");
  sentences->encoder_input_ids = read_option<std::vector<Ids>>(options, "encoder_input_ids");
  sentences->seeds = read_option<std::vector<uint64_t>>(options, "seed");
  parsed.sentences = std::move(sentences);
  return parsed;
}

}  // namespace fastseq::bindings
