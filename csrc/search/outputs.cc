#include "search/outputs.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

namespace fastseq {

namespace {

template <typename T>
void append(const std::vector<T>& from, int64_t begin, int64_t count, std::vector<T>& to) {
  to.insert(to.end(), from.begin() + begin, from.begin() + begin + count);
}

}  // namespace

StepOutputs::StepOutputs(const OutputOptions& options) : options_(options) {
  if (options.top_logits < 0) {
    throw std::invalid_argument("top_logits is " + std::to_string(options.top_logits) + "; expected at least 0");
  }
}

void StepOutputs::add(const float* logits, int64_t rows, int64_t vocab_size, const float* attention,
                      std::span<const int64_t> sizes) {
  if (!options_.attention && !options_.logits && options_.top_logits == 0) return;
  vocab_size_ = vocab_size;
  top_ = std::min(options_.top_logits, vocab_size);
  Step step;
  if (options_.logits) step.logits.assign(logits, logits + rows * vocab_size);
  if (top_ > 0) {
    step.top_logits.resize(static_cast<std::size_t>(rows * top_));
    step.top_tokens.resize(static_cast<std::size_t>(rows * top_));
    kernels().log_softmax_topk(logits, rows, vocab_size, vocab_size, top_, nullptr, step.top_logits.data(),
                               step.top_tokens.data(), nullptr);
    for (int64_t i = 0; i < rows * top_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      step.top_logits[at] = logits[i / top_ * vocab_size + step.top_tokens[at]];
    }
  }
  if (options_.attention) {
    step.attention_begin.push_back(0);
    for (const int64_t size : sizes) step.attention_begin.push_back(step.attention_begin.back() + size);
    step.attention.assign(attention, attention + step.attention_begin.back());
  }
  steps_.push_back(std::move(step));
}

HypothesisOutputs StepOutputs::gather(const SearchTrace& trace, const Hypothesis& hypothesis) const {
  HypothesisOutputs outputs;
  if (options_.token_log_probs) outputs.token_log_probs = trace.token_log_probs(hypothesis);
  if (steps_.empty()) return outputs;
  const std::vector<int64_t> rows = trace.rows(hypothesis);
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const Step& step = steps_[t];
    const int64_t row = rows[t];
    if (options_.logits) append(step.logits, row * vocab_size_, vocab_size_, outputs.logits);
    if (top_ > 0) {
      append(step.top_logits, row * top_, top_, outputs.top_logits);
      append(step.top_tokens, row * top_, top_, outputs.top_tokens);
    }
    if (options_.attention) {
      const int64_t begin = step.attention_begin[static_cast<std::size_t>(row)];
      const int64_t end = step.attention_begin[static_cast<std::size_t>(row) + 1];
      append(step.attention, begin, end - begin, outputs.attention);
    }
  }
  return outputs;
}

std::vector<std::vector<Answer>> StepOutputs::answers(std::vector<std::vector<Hypothesis>> results,
                                                      const SearchTrace* trace) const {
  std::vector<std::vector<Answer>> answers(results.size());
  for (std::size_t b = 0; b < results.size(); ++b) {
    for (Hypothesis& hypothesis : results[b]) {
      HypothesisOutputs outputs;
      if (options_.any() && trace != nullptr) outputs = gather(*trace, hypothesis);
      answers[b].push_back({std::move(hypothesis), std::move(outputs)});
    }
  }
  return answers;
}

}  // namespace fastseq
