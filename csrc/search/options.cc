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
  for (const auto& alternatives : options.force_words_ids) {
    for (const auto& tokens : alternatives) visit_all("force_words_ids", tokens);
  }
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

void check_sampling(const SamplingOptions& wanted) {
  require(wanted.temperature > 0.0 && std::isfinite(wanted.temperature), "temperature", wanted.temperature,
          "a finite number above 0");
  require(wanted.top_k >= 0, "top_k", wanted.top_k, "at least 0");
  require(wanted.top_p >= 0.0 && wanted.top_p <= 1.0, "top_p", wanted.top_p, "a number from 0 to 1");
  require(wanted.min_p >= 0.0 && wanted.min_p <= 1.0, "min_p", wanted.min_p, "a number from 0 to 1");
  require(wanted.typical_p > 0.0 && wanted.typical_p <= 1.0, "typical_p", wanted.typical_p,
          "a number above 0, at most 1");
  require(wanted.top_h >= 0.0 && wanted.top_h <= 1.0, "top_h", wanted.top_h, "a number from 0 to 1");
  for (const auto& [name, cutoff] :
       {std::pair{"epsilon_cutoff", wanted.epsilon_cutoff}, std::pair{"eta_cutoff", wanted.eta_cutoff}}) {
    require(cutoff >= 0.0 && cutoff < 1.0, name, cutoff, "a number of at least 0, below 1");
  }
}

/// What the beams are and which of their hypotheses are returned.
void check_search(const SearchOptions& options) {
  const int64_t returned = options.num_return_sequences;
  const bool many = options.return_alternatives || (options.sampling.do_sample && options.num_beams == 1);
  require(returned >= 1 && (many || returned <= options.num_beams), "num_return_sequences", returned,
          "1 to num_beams = " + std::to_string(options.num_beams));
  require(options.num_beam_groups >= 1 && options.num_beams % options.num_beam_groups == 0, "num_beam_groups",
          options.num_beam_groups, "a divisor of num_beams = " + std::to_string(options.num_beams));
  require(options.diversity_penalty >= 0.0 && std::isfinite(options.diversity_penalty), "diversity_penalty",
          options.diversity_penalty, "a finite number of at least 0");
  require(options.coverage_penalty >= 0.0 && std::isfinite(options.coverage_penalty), "coverage_penalty",
          options.coverage_penalty, "a finite number of at least 0");
  require(options.patience > 0.0 && std::isfinite(options.patience), "patience", options.patience,
          "a finite number above 0");
  const int special = (options.num_beam_groups > 1 ? 1 : 0) + (options.return_alternatives ? 1 : 0) +
                      (options.sampling.do_sample ? 1 : 0) + (options.force_words_ids.empty() ? 0 : 1);
  require(special <= 1, "num_beam_groups", options.num_beam_groups,
          "at most one of num_beam_groups, return_alternatives, do_sample and force_words_ids");
  for (const auto& alternatives : options.force_words_ids) {
    require(!alternatives.empty(), "force_words_ids", 0, "at least one alternative each, not");
    for (const auto& tokens : alternatives) {
      require(!tokens.empty(), "force_words_ids", 0, "phrases of at least one token, not of");
      const auto end = std::find_if(tokens.begin(), tokens.end(), [&](int32_t token) { return options.is_eos(token); });
      if (end != tokens.end()) {
        throw std::invalid_argument("force_words_ids has the end token " + std::to_string(*end) +
                                    "; expected phrases of other tokens");
      }
    }
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
  check_count("prompt", options.sentences->prompts.size(), false);
  check_count("prefix", options.sentences->prefixes.size(), false);
  if (options.sentences->seeds.size() != 1) {
    check_count("seed", options.sentences->seeds.size(), options.sampling.do_sample);
  }
  const auto check_room = [&](const char* name, std::size_t b, std::size_t tokens, std::size_t counted) {
    if (options.max_new_tokens < 0 ? static_cast<int64_t>(counted) < options.max_length : options.max_new_tokens > 0) {
      return;
    }
    throw std::invalid_argument(std::string(name) + "[" + std::to_string(b) + "] has " + std::to_string(tokens) +
                                " tokens, which leaves no room for others; expected a larger max_length or "
                                "max_new_tokens");
  };
  const auto& prompts = options.sentences->prompts;
  for (std::size_t b = 0; b < prompts.size(); ++b) {
    for (const int32_t token : prompts[b]) require(token >= 0, "prompt", token, "ids of at least 0");
    if (prompts[b].empty()) {
      throw std::invalid_argument("prompt[" + std::to_string(b) + "] is empty; expected at least one token");
    }
    if (prompts[b].size() > 1) check_room("prompt", b, prompts[b].size(), prompts[b].size());
    if (options.hooks != nullptr && options.hooks->process != nullptr && prompts[b].size() != prompts[0].size()) {
      throw std::invalid_argument("logits_processor needs prompts of one length; prompt[0] has " +
                                  std::to_string(prompts[0].size()) + " tokens, prompt[" + std::to_string(b) +
                                  "] has " + std::to_string(prompts[b].size()));
    }
  }
  for (std::size_t b = 0; b < options.sentences->prefixes.size(); ++b) {
    const std::vector<int32_t>& prefix = options.sentences->prefixes[b];
    for (const int32_t token : prefix) require(token >= 0, "prefix", token, "ids of at least 0");
    const std::size_t given = options.given(static_cast<int64_t>(b)).size();
    if (!prefix.empty()) check_room("prefix", b, prefix.size(), given + prefix.size());
  }
}

}  // namespace

void check_options(const SearchOptions& options, int64_t batch_size) {
  require(batch_size >= 0, "batch_size", batch_size, "at least 0");
  require(options.num_beams >= 1, "num_beams", options.num_beams, "at least 1");
  check_search(options);
  require(options.max_length >= 1, "max_length", options.max_length, "at least 1 (the start token counts)");
  require(options.min_length >= 0, "min_length", options.min_length, "at least 0");
  require(options.min_new_tokens >= 0, "min_new_tokens", options.min_new_tokens, "at least 0");
  require(options.start_id >= 0, "start_id", options.start_id, "at least 0");
  for_each_token(options, [](const char* name, int32_t token) { require(token >= 0, name, token, "at least 0"); });
  check_processors(options.processors);
  check_sampling(options.sampling);
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
  const auto check_each = [&](const char* name, const std::vector<std::vector<int32_t>>& lists) {
    for (std::size_t b = 0; b < lists.size(); ++b) {
      for (const int32_t token : lists[b]) {
        if (token < vocab_size) continue;
        throw std::invalid_argument(std::string(name) + "[" + std::to_string(b) + "] has " + std::to_string(token) +
                                    "; logits have only " + std::to_string(vocab_size) + " columns");
      }
    }
  };
  check_each("prefix", options.sentences->prefixes);
  check_each("prompt", options.sentences->prompts);
}

int64_t SearchOptions::longest_length() const {
  if (max_new_tokens < 0) return max_length;
  std::size_t longest = 0;
  for (const std::vector<int32_t>& prefix : sentences->prefixes) longest = std::max(longest, prefix.size());
  return 1 + static_cast<int64_t>(longest) + max_new_tokens;
}

int64_t SearchOptions::rows_per_sentence() const {
  const bool each = return_alternatives || (sampling.do_sample && num_beams == 1);
  return num_beams * (each ? num_return_sequences : 1);
}

float length_divisor(int64_t length, double length_penalty) {
  if (length == 0) return 1.0F;
  return static_cast<float>(std::pow(static_cast<double>(length), length_penalty));
}

}  // namespace fastseq
