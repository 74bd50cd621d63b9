#include "search/options.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace fastseq {

namespace {

template <typename Value>
void require(bool ok, const char* name, Value value, const std::string& wanted) {
  if (!ok) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + "; expected " + wanted);
  }
}

/// Calls visit(option's name, token) for every token that the options name.
template <typename Visit>
void for_each_token(const SearchOptions& options, const Visit& visit) {
  const auto visit_all = [&](const char* name, const std::vector<int32_t>& tokens) {
    for (const int32_t token : tokens) visit(name, token);
  };
  const ProcessorOptions& wanted = options.processors;
  visit_all("eos_ids", options.eos_ids);
  for (const SequenceBias& bias : wanted.sequence_bias) visit_all("sequence_bias", bias.tokens);
  for (const auto& tokens : wanted.bad_words_ids) visit_all("bad_words_ids", tokens);
  if (wanted.forced_bos_token_id) visit("forced_bos_token_id", *wanted.forced_bos_token_id);
  visit_all("forced_eos_token_id", wanted.forced_eos_token_id);
  visit_all("suppress_tokens", wanted.suppress_tokens);
  visit_all("begin_suppress_tokens", wanted.begin_suppress_tokens);
}

void check_processors(const ProcessorOptions& wanted) {
  const auto penalty = [](const char* name, double value) {
    require(value > 0.0 && std::isfinite(value), name, value, "a finite number above 0");
  };
  penalty("encoder_repetition_penalty", wanted.encoder_repetition_penalty);
  penalty("repetition_penalty", wanted.repetition_penalty);
  if (wanted.exponential_decay) penalty("exponential_decay_length_penalty", wanted.exponential_decay->factor);
  require(wanted.no_repeat_ngram_size >= 0, "no_repeat_ngram_size", wanted.no_repeat_ngram_size, "at least 0");
  require(wanted.encoder_no_repeat_ngram_size >= 0, "encoder_no_repeat_ngram_size", wanted.encoder_no_repeat_ngram_size,
          "at least 0");
  for (const SequenceBias& bias : wanted.sequence_bias) {
    require(!bias.tokens.empty() && !std::isnan(bias.bias), "sequence_bias", bias.bias,
            "numbers, each for a sequence of at least one token");
  }
  for (const auto& tokens : wanted.bad_words_ids) {
    require(!tokens.empty(), "bad_words_ids", 0, "sequences of at least one token, not of");
  }
}

void check_sentences(const SearchOptions& options, int64_t batch_size) {
  const auto check_count = [&](const char* name, std::size_t count, bool wanted) {
    if (count != static_cast<std::size_t>(batch_size) && (wanted || count != 0)) {
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(count) +
                                  " entries; expected one for each of the " + std::to_string(batch_size) +
                                  " sentences");
    }
  };
  const ProcessorOptions& wanted = options.processors;
  const bool sources = wanted.encoder_repetition_penalty != 1.0 || wanted.encoder_no_repeat_ngram_size > 0;
  check_count("encoder_input_ids", options.sentences->encoder_input_ids.size(), sources);
  check_count("prefix", options.sentences->prefixes.size(), false);
  for (std::size_t b = 0; b < options.sentences->prefixes.size(); ++b) {
    const std::vector<int32_t>& prefix = options.sentences->prefixes[b];
    for (const int32_t token : prefix) require(token >= 0, "prefix", token, "ids of at least 0");
    const auto length = static_cast<int64_t>(prefix.size());
    if (options.max_new_tokens < 0 && length > 0 && length + 1 >= options.max_length) {
      throw std::invalid_argument(
          "prefix[" + std::to_string(b) + "] has " + std::to_string(length) +
          " tokens; expected fewer than max_length - 1 = " + std::to_string(options.max_length - 1));
    }
  }
}

}  // namespace

void check_options(const SearchOptions& options, int64_t batch_size) {
  require(batch_size >= 0, "batch_size", batch_size, "at least 0");
  require(options.num_beams >= 1, "num_beams", options.num_beams, "at least 1");
  require(options.num_return_sequences >= 1 && options.num_return_sequences <= options.num_beams,
          "num_return_sequences", options.num_return_sequences,
          "1 to num_beams = " + std::to_string(options.num_beams));
  require(options.max_length >= 1, "max_length", options.max_length, "at least 1 (the start token counts)");
  require(options.min_length >= 0, "min_length", options.min_length, "at least 0");
  require(options.min_new_tokens >= 0, "min_new_tokens", options.min_new_tokens, "at least 0");
  require(options.start_id >= 0, "start_id", options.start_id, "at least 0");
  for_each_token(options, [](const char* name, int32_t token) { require(token >= 0, name, token, "at least 0"); });
  check_processors(options.processors);
  check_sentences(options, batch_size);
  // Beyond it the divisor of some length would be infinite or zero in float32.
  const auto longest = static_cast<double>(std::max(options.max_length, options.longest_length()));
  if (!(std::fabs(options.length_penalty) * std::log(longest) <= 87.0)) {
    throw std::invalid_argument("length_penalty is " + std::to_string(options.length_penalty) +
                                "; expected a number whose power of max_length is finite in float32");
  }
}

void check_vocabulary(const SearchOptions& options, int64_t vocab_size) {
  for_each_token(options, [&](const char* name, int32_t token) {
    if (token >= vocab_size) {
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(token) + "; logits have only " +
                                  std::to_string(vocab_size) + " columns");
    }
  });
}

int64_t SearchOptions::longest_length() const {
  if (max_new_tokens < 0) return max_length;
  std::size_t longest = 0;
  for (const std::vector<int32_t>& prefix : sentences->prefixes) longest = std::max(longest, prefix.size());
  return 1 + static_cast<int64_t>(longest) + max_new_tokens;
}

float length_divisor(int64_t length, double length_penalty) {
  if (length == 0) return 1.0F;
  return static_cast<float>(std::pow(static_cast<double>(length), length_penalty));
}

}  // namespace fastseq
