// What a search is asked to do, with Hugging Face's names and meanings.
#pragma once

#include <cstdint>
#include <vector>

namespace fastseq {

/// When the search of a sentence ends, once `num_beams` hypotheses have finished.
enum class EarlyStopping {
  kTrue,   // at once
  kFalse,  // when the best beam, scored at its present length, does not beat the worst finished hypothesis
  kNever,  // as kFalse, but scored at the length that favours it most
};

struct SearchOptions {
  int64_t num_beams = 1;
  int64_t num_return_sequences = 1;  // at most num_beams
  int64_t max_length = 256;          // tokens with the start token and the end token
  int64_t min_length = 0;            // no end token before this many tokens, the start token counted
  double length_penalty = 1.0;       // score = sum of log-probabilities / length ** length_penalty
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  int32_t start_id = 0;
  std::vector<int32_t> eos_ids;  // any of them ends a hypothesis; empty: only max_length does

  bool is_eos(int64_t token) const {
    for (const int32_t eos : eos_ids) {
      if (eos == token) return true;
    }
    return false;
  }
};

/// Throws std::invalid_argument naming the first option out of its range.
void check_options(const SearchOptions& options);

/// length ** length_penalty: what a sum of log-probabilities over `length` tokens (the end token counted, the
/// start token not) is divided by. Python and Hugging Face compute the power in double, then divide floats.
float length_divisor(int64_t length, double length_penalty);

}  // namespace fastseq
