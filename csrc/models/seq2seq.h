// An encoder-decoder as search and scoring see it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "models/tensors.h"
#include "runtime/buffer.h"
#include "runtime/cancel.h"
#include "search/outputs.h"
#include "search/search.h"

namespace fastseq {

/// B sequences of ids end to end; sequence b is ids [offsets[b], offsets[b + 1]).
struct Ragged {
  const int32_t* ids = nullptr;
  const int64_t* offsets = nullptr;
  int64_t batch_size = 0;

  int64_t tokens() const { return batch_size > 0 ? offsets[batch_size] : 0; }
  int64_t length(int64_t b) const { return offsets[b + 1] - offsets[b]; }
};

/// The rows of one decoding step: row r reads ids[r] and continues row parents[r] of the step before. At the
/// first step, row r continues nothing and parents[r] is r.
struct StepRows {
  std::span<const int32_t> ids;
  std::span<const int64_t> parents;
  std::span<const int64_t> sentences;  // of the encoded batch
};

/// A decoding session over one encoded batch, which it owns.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// logits (rows, target_vocab_size). `attention`, if not null, gets the S weights of each row on its source,
  /// row after row.
  virtual void step(const StepRows& rows, float* logits, float* attention) = 0;
};

class Seq2Seq : public RecordedModel {
 public:
  virtual ~Seq2Seq() = default;

  virtual int64_t source_vocab_size() const = 0;
  virtual int64_t target_vocab_size() const = 0;
  virtual int64_t memory_size() const = 0;  // width of the encoder's output
  /// Whether step() can report attention weights.
  virtual bool attends() const = 0;
  /// Longest target, or 0 for no limit.
  virtual int64_t max_positions() const = 0;
  /// Longest source, or 0 for no limit.
  virtual int64_t max_source_positions() const { return max_positions(); }

  virtual void encode(const Ragged& source, float* memory) const = 0;  // (N, memory_size)
  virtual std::unique_ptr<Decoder> start(const Ragged& source) const = 0;

  /// Teacher forcing: logits (M, target_vocab_size) after each target token; attention (null for none), for each
  /// target token in turn the weights on its source, sum over b of T_b * S_b numbers.
  void decode(const Ragged& source, const Ragged& target, float* logits, float* attention,
              Cancellation& cancellation) const;

  /// Teacher forcing: log_probs (M), of the token `following` (M) after each target token. Sentences are spread over
  /// threads.
  void score(const Ragged& source, const Ragged& target, const int32_t* following, float* log_probs,
             Cancellation& cancellation) const;

  /// Hypotheses of each sentence, best first. Sentences are spread over threads.
  std::vector<std::vector<Answer>> generate(const Ragged& source, const SearchOptions& options,
                                            const OutputOptions& outputs, Cancellation& cancellation) const;

 private:
  std::vector<std::vector<Answer>> generate_group(const Ragged& source, std::span<const int64_t> sentences,
                                                  const SearchOptions& options, const OutputOptions& outputs,
                                                  Cancellation& cancellation) const;
  /// What the decoder says after target token t of sentence b: logits (target_vocab_size), which the visitor may
  /// overwrite, and weights (S) or null.
  using Visit = std::function<void(int64_t b, int64_t t, float* logits, const float* weights)>;
  /// Visits every token of every target, sentences in groups on several threads.
  void teach(const Ragged& source, const Ragged& target, bool with_attention, const Visit& visit,
             Cancellation& cancellation) const;
  void teach_group(const Ragged& source, const Ragged& target, bool with_attention, const Visit& visit,
                   Cancellation& cancellation) const;
};

}  // namespace fastseq
