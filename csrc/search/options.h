// What a search is asked to do, with Hugging Face's names and meanings.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace fastseq {

/// When the search of a sentence ends, once `num_beams` hypotheses have finished.
enum class EarlyStopping {
  kTrue,   // at once
  kFalse,  // when the best beam, scored at its present length, does not beat the worst finished hypothesis
  kNever,  // as kFalse, but scored at the length that favours it most
};

/// A token sequence whose last token is made more or less probable after the others.
struct SequenceBias {
  std::vector<int32_t> tokens;
  float bias = 0.0F;
};

/// Whose rules end a search and normalise its scores.
enum class Preset {
  kHuggingFace,  // num_beams go on; EarlyStopping says when a sentence ends
  kCTranslate2,  // the same beams; a sentence ends with num_beams * patience finished hypotheses, or, where nothing
                 // is normalised, as soon as the best candidate and num_return_sequences hypotheses have finished;
                 // the prefix counts in the length; right after a prefix only the best candidate may be an end token
  kMarian,       // a finished hypothesis keeps its place in the beam; a sentence ends when no place is left
};

/// Drawing tokens at random instead of taking the best.
struct SamplingOptions {
  bool do_sample = false;
  double temperature = 1.0;     // scores are divided by it
  int64_t top_k = 0;            // only so many of the best; 0: all
  double top_p = 1.0;           // only the best that make up this probability
  double min_p = 0.0;           // only those at least so many times as probable as the best
  double typical_p = 1.0;       // only those of nearly the expected surprise, making up this probability
  double top_h = 0.0;           // only the best of this share of the entropy; 0: all
  double epsilon_cutoff = 0.0;  // only those at least so probable
  double eta_cutoff = 0.0;      // the same, less where the entropy is large
};

/// Functions of the caller. They may be called from any thread, by several at once, and throw.
struct SearchHooks {
  /// The tokens that may follow `ids` in a sentence of the caller's batch.
  std::function<std::vector<int32_t>(int64_t sentence, std::span<const int32_t> ids)> allowed_tokens;
  /// Changes scores (rows, vocab_size) of rows with ids (rows, length).
  std::function<void(const int32_t* ids, float* scores, int64_t rows, int64_t length, int64_t vocab_size)> process;
};

/// From `start` generated tokens on, the end token's score s grows by |s| * (factor ** (steps since) - 1).
struct ExponentialDecay {
  int64_t start = 0;
  double factor = 1.0;
};

/// What changes the scores of the next token, in the order of application; the defaults change nothing.
struct ProcessorOptions {
  std::vector<SequenceBias> sequence_bias;
  double encoder_repetition_penalty = 1.0;   // above 1: tokens of the source become more probable
  double repetition_penalty = 1.0;           // above 1: tokens of the target become less probable
  int64_t no_repeat_ngram_size = 0;          // no n-gram of this size twice; 0: any
  int64_t encoder_no_repeat_ngram_size = 0;  // no n-gram of this size that the source has
  std::vector<std::vector<int32_t>> bad_words_ids;
  std::optional<int32_t> forced_bos_token_id;  // the first token
  std::vector<int32_t> forced_eos_token_id;    // the last token, where max_length would cut; none: any
  bool remove_invalid_values = false;          // NaN becomes 0, infinities the largest finite numbers
  std::optional<ExponentialDecay> exponential_decay;
  std::vector<int32_t> suppress_tokens;
  std::vector<int32_t> begin_suppress_tokens;  // not as the first generated token
  bool renormalize_logits = false;             // log-softmax after everything else
};

/// What differs between the sentences of a batch; every list is empty or has an entry for each sentence.
struct SentenceOptions {
  std::vector<std::vector<int32_t>> prompts;   // what the model has read before; the last one starts the target
  std::vector<std::vector<int32_t>> prefixes;  // what the target starts with, after the start token
  std::vector<std::vector<int32_t>> encoder_input_ids;  // the sources; only where encoder_* are asked for
  std::vector<uint64_t> seeds;                          // of sampling; a single one is that of every sentence
};

struct SearchOptions {
  int64_t num_beams = 1;
  int64_t num_return_sequences = 1;  // at most num_beams
  int64_t max_length = 256;          // tokens with the start token and the end token
  int64_t max_new_tokens = -1;       // if not negative, the limit instead of max_length: start and prefix not counted
  int64_t min_length = 0;            // no end token before this many tokens, the start token counted
  int64_t min_new_tokens = 0;        // the same without the start token and the prefix
  double length_penalty = 1.0;       // score = sum of log-probabilities / length ** length_penalty
  double coverage_penalty = 0.0;     // what Coverage multiplies its sum with and the score gets added
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  double patience = 1.0;  // so many times num_beams hypotheses have to finish
  Preset preset = Preset::kHuggingFace;
  int64_t num_beam_groups = 1;       // equal parts of the beams that search on their own
  double diversity_penalty = 0.0;    // taken from the score of a token for each time an earlier group has chosen it
  bool return_alternatives = false;  // each of num_return_sequences hypotheses starts with another token
  int32_t start_id = 0;
  std::vector<int32_t> eos_ids;  // any of them ends a hypothesis; empty: only max_length does
  std::vector<std::vector<std::vector<int32_t>>> force_words_ids;  // of each, one alternative has to occur
  ProcessorOptions processors;
  SamplingOptions sampling;
  std::shared_ptr<const SearchHooks> hooks;  // or null
  std::shared_ptr<const SentenceOptions> sentences = std::make_shared<const SentenceOptions>();

  /// The largest number of tokens of any sentence, the start token and the prefix counted.
  int64_t longest_length() const;
  /// The most rows that one sentence has.
  int64_t rows_per_sentence() const;
  uint64_t seed(int64_t sentence) const {
    return sentences->seeds.size() == 1 ? sentences->seeds[0] : sentences->seeds[static_cast<std::size_t>(sentence)];
  }
  /// What a sentence begins with: its prompt, or the start token.
  std::span<const int32_t> given(int64_t sentence) const {
    if (sentences->prompts.empty()) return {&start_id, 1};
    return sentences->prompts[static_cast<std::size_t>(sentence)];
  }
  const std::vector<int32_t>* prefix(int64_t sentence) const {
    return sentences->prefixes.empty() ? nullptr : &sentences->prefixes[static_cast<std::size_t>(sentence)];
  }
  bool is_eos(int64_t token) const {
    for (const int32_t eos : eos_ids) {
      if (eos == token) return true;
    }
    return false;
  }
};

/// Throws std::invalid_argument naming the first option out of its range, for a batch of `batch_size` sentences.
void check_options(const SearchOptions& options, int64_t batch_size);

/// Throws std::invalid_argument naming the first option with a token that is not below `vocab_size`.
void check_vocabulary(const SearchOptions& options, int64_t vocab_size);

/// length ** length_penalty: what a sum of log-probabilities over `length` tokens (the end token counted, the
/// start token and the prefix not) is divided by. Python and Hugging Face compute the power in double, then divide
/// floats.
float length_divisor(int64_t length, double length_penalty);

}  // namespace fastseq
