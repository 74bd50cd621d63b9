// What a search gives back to Python, shared by the bindings that run one.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "array.h"
#include "search/outputs.h"
#include "search/stream.h"
#include "search_options.h"

namespace fastseq::bindings {

/// The dictionary of Outputs.resolve() in fastseq.search; nothing is wanted without one.
inline OutputOptions parse_outputs(const std::optional<py::dict>& outputs) {
  OutputOptions parsed;
  if (!outputs) return parsed;
  parsed.token_log_probs = read_entry<bool>(*outputs, "outputs", "token_log_probs");
  parsed.attention = read_entry<bool>(*outputs, "outputs", "attention");
  parsed.logits = read_entry<bool>(*outputs, "outputs", "logits");
  parsed.top_logits = read_entry<int64_t>(*outputs, "outputs", "top_logits");
  return parsed;
}

template <typename T>
py::array_t<T> vector_to_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

/// (rows, *) from row-major values.
template <typename T>
py::array_t<T> matrix_to_array(const std::vector<T>& values, std::size_t rows) {
  const std::size_t columns = rows == 0 ? 0 : values.size() / rows;
  return py::array_t<T>({rows, columns}, values.data());
}

/// For each sentence a list of (tokens, score, finished), best first; of what else is wanted a dictionary as fourth.
inline py::list answers_to_python(const std::vector<std::vector<Answer>>& results, const OutputOptions& wanted) {
  py::list sentences;
  for (const std::vector<Answer>& answers : results) {
    py::list sentence;
    for (const auto& [hypothesis, outputs] : answers) {
      if (!wanted.any()) {
        sentence.append(py::make_tuple(hypothesis.tokens, hypothesis.score, hypothesis.finished));
        continue;
      }
      const bool searched = hypothesis.last.step >= 0;  // else all was given
      const std::size_t steps = searched ? hypothesis.tokens.size() + (hypothesis.finished ? 1 : 0) : 0;
      py::dict arrays;
      if (wanted.token_log_probs) arrays["token_log_probs"] = vector_to_array(outputs.token_log_probs);
      if (wanted.attention) arrays["attention"] = matrix_to_array(outputs.attention, steps);
      if (wanted.logits) arrays["logits"] = matrix_to_array(outputs.logits, steps);
      if (wanted.top_logits > 0) {
        arrays["top_logits"] = matrix_to_array(outputs.top_logits, steps);
        arrays["top_tokens"] = matrix_to_array(outputs.top_tokens, steps);
      }
      sentence.append(py::make_tuple(hypothesis.tokens, hypothesis.score, hypothesis.finished, std::move(arrays)));
    }
    sentences.append(std::move(sentence));
  }
  return sentences;
}

/// A list of (sentence, tokens, done).
inline py::list news_to_python(const std::vector<TokenStream::News>& news) {
  py::list list;
  for (const TokenStream::News& item : news) list.append(py::make_tuple(item.sentence, item.tokens, item.done));
  return list;
}

/// ([(ids, parents, sentences, sums) of each step], [(sentence, step, row, token, score, finished) of each ending]).
inline py::tuple trace_to_python(const SearchTrace* trace) {
  if (trace == nullptr) throw std::invalid_argument("trace: the search keeps none");
  py::list steps, endings;
  for (const SearchTrace::Step& step : trace->steps()) {
    steps.append(py::make_tuple(vector_to_array(step.ids), vector_to_array(step.parents),
                                vector_to_array(step.sentences), vector_to_array(step.sums)));
  }
  for (const SearchTrace::Ending& e : trace->endings()) {
    endings.append(py::make_tuple(e.sentence, e.last.step, e.last.row, e.token, e.score, e.finished));
  }
  return py::make_tuple(steps, endings);
}

}  // namespace fastseq::bindings
