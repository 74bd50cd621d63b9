// One search over one encoded batch, step by step.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/seq2seq.h"
#include "search/outputs.h"
#include "search/stream.h"

namespace fastseq {

class Decoding {
 public:
  /// Encodes the source. With `stepwise` the search keeps a trace, which news() and stop() need. `originals`: which
  /// sentences of the caller's batch these are; none: the first ones.
  Decoding(const Seq2Seq& model, const Ragged& source, const SearchOptions& options, const OutputOptions& outputs,
           bool stepwise, std::span<const int64_t> originals = {});

  bool done() const { return search_->done(); }
  /// One token of every live row; nothing if done.
  void step();
  /// What has become certain since the last call.
  std::vector<TokenStream::News> news() { return stream_.read(*search_); }
  void stop() { search_->stop(); }
  const Search& search() const { return *search_; }
  /// Hypotheses of each sentence, best first. Throws unless done.
  std::vector<std::vector<Answer>> answers() const { return outputs_.answers(search_->result(), search_->trace()); }

 private:
  const int64_t vocab_size_;
  const bool attends_;  // whether a step has to give its attention
  std::vector<int64_t> source_lengths_;
  std::unique_ptr<Search> search_;
  std::unique_ptr<Decoder> decoder_;
  StepOutputs outputs_;
  TokenStream stream_;
  Buffer<float> logits_, attention_;   // scratch of a step
  std::vector<int64_t> source_sizes_;  // scratch: source length of each row
};

}  // namespace fastseq
