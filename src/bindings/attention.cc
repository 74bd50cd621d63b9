// Attention functions of fastseq._core.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <variant>

#include "array.h"
#include "layers/attention.h"
#include "layers/linear.h"

namespace fastseq::bindings {
namespace {

using OptionalFloats = std::optional<FloatArray>;
using MaskArray = std::variant<BoolArray, FloatArray>;

AttentionMask read_mask(const std::optional<MaskArray>& given, const AttentionShape& shape) {
  AttentionMask mask;
  if (!given) return mask;
  const py::array& array = std::visit([](const auto& a) -> const py::array& { return a; }, *given);
  require_shape(array, "attn_mask", {kAny, kAny, kAny, kAny});
  const int64_t full[] = {shape.batch_size, shape.query_heads, shape.queries, shape.keys};
  int64_t* const strides[] = {&mask.batch_stride, &mask.head_stride, &mask.query_stride, &mask.key_stride};
  int64_t stride = 1;
  for (int i = 3; i >= 0; --i) {
    if (array.shape(i) != full[i] && array.shape(i) != 1) {
      throw std::invalid_argument("attn_mask has shape " + shape_text(array) + ", which does not broadcast to (" +
                                  std::to_string(full[0]) + ", " + std::to_string(full[1]) + ", " +
                                  std::to_string(full[2]) + ", " + std::to_string(full[3]) + ")");
    }
    *strides[i] = array.shape(i) == 1 ? 0 : stride;
    stride *= array.shape(i);
  }
  if (const auto* keep = std::get_if<BoolArray>(&*given)) {
    mask.keep = reinterpret_cast<const uint8_t*>(keep->data());
  } else {
    mask.add = std::get<FloatArray>(*given).data();
  }
  return mask;
}

FloatArray sdpa(const FloatArray& query, const FloatArray& key, const FloatArray& value,
                const std::optional<MaskArray>& attn_mask, bool is_causal, float scale) {
  require_shape(query, "query", {kAny, kAny, kAny, kAny});
  const AttentionShape shape{query.shape(0),
                             query.shape(1),
                             key.ndim() == 4 ? key.shape(1) : 0,
                             query.shape(2),
                             key.ndim() == 4 ? key.shape(2) : 0,
                             query.shape(3),
                             value.ndim() == 4 ? value.shape(3) : 0};
  require_shape(key, "key", {shape.batch_size, kAny, kAny, shape.head_size});
  require_shape(value, "value", {shape.batch_size, shape.key_heads, shape.keys, kAny});
  if (shape.query_heads > 0 && (shape.key_heads == 0 || shape.query_heads % shape.key_heads != 0)) {
    throw std::invalid_argument("query has " + std::to_string(shape.query_heads) +
                                " heads; expected a multiple of key's " + std::to_string(shape.key_heads));
  }
  const AttentionMask mask = read_mask(attn_mask, shape);
  FloatArray output({shape.batch_size, shape.query_heads, shape.queries, shape.value_size});
  const float *q = query.data(), *k = key.data(), *v = value.data();
  float* to = output.mutable_data();
  py::gil_scoped_release release;
  scaled_dot_product_attention(shape, q, k, v, mask, is_causal, scale, to);
  return output;
}

/// Checks what both score functions share and runs them on projected queries and keys.
py::tuple run_scores(const FloatArray& query, const FloatArray& key, const FloatArray& value,
                     const std::optional<Int64Array>& lengths, int64_t size, const Linear* project_query,
                     const Linear* project_key, const float* weight_score) {
  const int64_t batch = query.shape(0), queries = query.shape(1), keys = key.shape(1);
  require_shape(key, "key", {batch, kAny, kAny});
  require_shape(value, "value", {batch, keys, kAny});
  if (lengths) {
    require_shape(*lengths, "lengths", {batch});
    for (int64_t b = 0; b < batch; ++b) {
      if (lengths->at(b) < 0 || lengths->at(b) > keys) {
        throw std::invalid_argument("lengths[" + std::to_string(b) + "] is " + std::to_string(lengths->at(b)) +
                                    "; expected 0 to " + std::to_string(keys));
      }
    }
  }
  const int64_t value_size = value.shape(2);
  FloatArray context({batch, queries, value_size}), weights({batch, queries, keys});
  {
    const float *q = query.data(), *k = key.data(), *v = value.data();
    const int64_t* l = data_or_null(lengths);
    float *c = context.mutable_data(), *w = weights.mutable_data();
    py::gil_scoped_release release;
    Buffer<float> projected_query, projected_key;
    if (project_query != nullptr) {
      projected_query = Buffer<float>(batch * queries * size);
      project_query->forward(q, batch * queries, projected_query.data());
      q = projected_query.data();
    }
    if (project_key != nullptr) {
      projected_key = Buffer<float>(batch * keys * size);
      project_key->forward(k, batch * keys, projected_key.data());
      k = projected_key.data();
    }
    score_attention(batch, queries, keys, size, value_size, q, k, v, weight_score, l, c, w);
  }
  return py::make_tuple(context, weights);
}

py::tuple additive_attention(const FloatArray& query, const FloatArray& key, const FloatArray& value,
                             const FloatArray& weight_query, const FloatArray& weight_key,
                             const FloatArray& weight_score, const OptionalFloats& bias,
                             const std::optional<Int64Array>& lengths) {
  require_shape(query, "query", {kAny, kAny, kAny});
  require_shape(key, "key", {kAny, kAny, kAny});
  require_shape(weight_score, "weight_score", {kAny});
  const int64_t size = weight_score.size();
  require_shape(weight_query, "weight_query", {size, query.shape(2)});
  require_shape(weight_key, "weight_key", {size, key.shape(2)});
  if (bias) require_shape(*bias, "bias", {size});
  const Linear project_query(weight_query.data(), nullptr, size, query.shape(2));
  const Linear project_key(weight_key.data(), data_or_null(bias), size, key.shape(2));
  return run_scores(query, key, value, lengths, size, &project_query, &project_key, weight_score.data());
}

py::tuple multiplicative_attention(const FloatArray& query, const FloatArray& key, const FloatArray& value,
                                   const OptionalFloats& weight, const std::optional<Int64Array>& lengths) {
  require_shape(query, "query", {kAny, kAny, kAny});
  require_shape(key, "key", {kAny, kAny, kAny});
  const int64_t size = query.shape(2);
  if (!weight) {
    require_shape(key, "key", {kAny, kAny, size});
    return run_scores(query, key, value, lengths, size, nullptr, nullptr, nullptr);
  }
  require_shape(*weight, "weight", {size, key.shape(2)});
  const Linear project_key(weight->data(), nullptr, size, key.shape(2));
  return run_scores(query, key, value, lengths, size, nullptr, &project_key, nullptr);
}

}  // namespace

void register_attention(py::module_& m) {
  using py::arg;
  m.def("scaled_dot_product_attention", &sdpa, arg("query"), arg("key"), arg("value"), arg("attn_mask").none(true),
        arg("is_causal"), arg("scale"));
  m.def("additive_attention", &additive_attention, arg("query"), arg("key"), arg("value"), arg("weight_query"),
        arg("weight_key"), arg("weight_score"), arg("bias").none(true), arg("lengths").none(true));
  m.def("multiplicative_attention", &multiplicative_attention, arg("query"), arg("key"), arg("value"),
        arg("weight").none(true), arg("lengths").none(true));
}

}  // namespace fastseq::bindings
