// Arguments of the kernels that take many. Strides are in floats.
#pragma once

#include <cstdint>

namespace fastseq {

enum class Activation : int32_t { kNone, kRelu, kGelu, kGeluTanh, kSilu, kTanh };

/// output (rows, out_features) = activation(bias + input (rows, in_features) @ weight^T).
///
/// The weight is packed in panels of `vectors` vectors: panel p holds, for each k ascending, the weights of its
/// vectors * lanes outputs next to each other, zero beyond out_features.
struct MatmulArgs {
  const float* input = nullptr;
  int64_t rows = 0;
  int64_t input_stride = 0;
  const float* panels = nullptr;  // (panel_count, in_features, vectors * lanes)
  int32_t vectors = 0;            // 1 to 4
  int64_t in_features = 0;
  int64_t out_features = 0;
  int64_t panel_begin = 0;  // only the outputs of these panels are computed
  int64_t panel_end = 0;
  const float* bias = nullptr;  // (panel_count * vectors * lanes), or null for zero
  float* output = nullptr;
  int64_t output_stride = 0;
  Activation activation = Activation::kNone;
};

/// The product with a bfloat16 weight: the chains of fma of a float32 weight of the same numbers.
///
/// Panel p holds, for each pair of k ascending, vectors * lanes words, the first k of its pair in the lower half of a
/// word. The half of an odd last k has no partner and stands with zero.
struct MatmulBf16Args {
  MatmulArgs common;                 // `panels` is not used
  const uint32_t* panels = nullptr;  // (panel_count, (in_features + 1) / 2, vectors * lanes)
  bool accumulate = false;           // chains go on from what is in the output; the bias is not used
};

/// The product of quantised rows (see QuantizeArgs) with an int8 weight:
///   output = activation(fma(sum of products, input_scale * weight_scale, bias)).
///
/// Panel p holds, for each four k ascending, the four weights of each of its vectors * lanes outputs; zero beyond
/// in_features.
struct MatmulInt8Args {
  MatmulArgs common;                     // `input` and `panels` are not used; input_stride is in bytes
  const int8_t* input = nullptr;         // (rows, input_stride), as quantize_inputs has stored them
  const float* input_scales = nullptr;   // (rows)
  const int32_t* input_sums = nullptr;   // (rows)
  const int8_t* panels = nullptr;        // (panel_count, (in_features + 3) / 4, vectors * lanes, 4)
  const float* weight_scales = nullptr;  // (panel_count * vectors * lanes)
  const int32_t* weight_sums = nullptr;  // (panel_count * vectors * lanes)
  bool accumulate = false;               // what is in the output takes the place of the bias
};

/// Rows of floats as int8 with one scale a row: scale = max|x| / 127, x ~ scale * q, q = x * (127 / max|x|) rounded to
/// the nearest, ties to even, from -127 to 127. A row of numbers below 2^-120 becomes zeros and scale 0; a row with
/// NaN or an infinity becomes zeros and scale NaN.
///
/// quantize_rows stores the numbers as they are. quantize_inputs stores them as matmul_int8 of the same instruction
/// set reads them (simd/int8.h): int8_input_bytes for each, zeros up to a multiple of 16 numbers.
struct QuantizeArgs {
  const float* input = nullptr;
  int64_t rows = 0;
  int64_t size = 0;
  int64_t input_stride = 0;
  int8_t* output = nullptr;
  int64_t output_stride = 0;
  float* scales = nullptr;  // (rows)
  int32_t* sums = nullptr;  // (rows): the sum of the magnitudes of negative q; quantize_inputs only
};

enum class Cell : int32_t { kRnnTanh, kRnnRelu, kLstm, kGru };

/// One time step of a recurrent layer, for the units of some panels.
///
/// A panel is one vector of units; its gates lie next to each other (LSTM i f g o, GRU r z n, RNN one), in the
/// packed recurrent weight as in `gates`. `gates` holds bias + W_ih x; the chain of each gate goes on from there
/// over k ascending. GRU (Cho et al., 2014, PyTorch's variant): n = tanh(gates_n + r * (bias_n + W_hn h)).
struct RecurrentStepArgs {
  Cell cell = Cell::kLstm;
  int64_t rows = 0;
  int64_t hidden_size = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  bool descending = false;        // panels from the last to the first; the result is the same
  const float* panels = nullptr;  // W_hh: (panel_count, hidden_size, gates * lanes)
  const float* bias_n = nullptr;  // GRU only: (panel_count * lanes)
  const float* gates = nullptr;   // (rows, panel_count * gates * lanes)
  int64_t gates_stride = 0;
  const float* hidden = nullptr;  // h of the step before: (rows, hidden_size)
  int64_t hidden_stride = 0;
  float* cell_state = nullptr;  // LSTM only: (rows, hidden_size), updated in place
  int64_t cell_stride = 0;
  float* output = nullptr;  // h of this step: (rows, hidden_size); not the same memory as `hidden`
  int64_t output_stride = 0;
};

/// Scaled dot-product attention of the queries of one head with its keys and values.
struct AttentionArgs {
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t head_size = 0;   // of queries and keys
  int64_t value_size = 0;  // of values and output
  const float* query = nullptr;
  int64_t query_stride = 0;
  const float* key = nullptr;
  int64_t key_stride = 0;
  const float* value = nullptr;
  int64_t value_stride = 0;
  float* output = nullptr;
  int64_t output_stride = 0;
  float scale = 1.0f;
  bool is_causal = false;         // query i sees keys 0..i + causal_offset
  int64_t causal_offset = 0;      // 0: aligned top-left, as PyTorch does
  int64_t window = 0;             // query i sees keys less than this from i + causal_offset, only; 0: no limit
  const uint8_t* mask = nullptr;  // boolean mask, true = attend; at most one of mask and add
  const float* add = nullptr;     // added to the scaled scores
  int64_t mask_query_stride = 0;  // of mask or add, in elements; 0 broadcasts
  int64_t mask_key_stride = 0;
  float* scratch = nullptr;  // attention_scratch_size floats
};

constexpr int64_t kAttentionBlock = 256;  // keys taken together; blocks start at multiples of it

constexpr int64_t kAttentionQueries = 128;  // most queries that pass over a block of keys while it is in cache

/// Keys and values repacked, and the outputs of the queries that go together. It grows with the keys and not with
/// queries times keys.
constexpr int64_t attention_scratch_size(int64_t keys, int64_t head_size, int64_t value_size) {
  const int64_t rows = (keys + kAttentionBlock - 1) / kAttentionBlock * kAttentionBlock;
  const int64_t value_width = (value_size + 15) / 16 * 16;
  return rows * (head_size + value_width) + kAttentionQueries * value_width;
}

/// Attention of one query row, all heads, with `count` cached keys and values.
struct DecodeAttentionArgs {
  int64_t heads = 0;
  int64_t head_size = 0;
  int64_t count = 0;
  const float* query = nullptr;    // (heads * head_size)
  const float* keys = nullptr;     // row t of the cache: keys + index[t] * stride, (heads * head_size)
  const float* values = nullptr;   // likewise
  const int32_t* index = nullptr;  // (count), or null for rows 0, 1, 2, ...
  int64_t stride = 0;
  float scale = 1.0f;
  const float* bias = nullptr;  // added to the scaled scores: head h, key t at bias[h * bias_stride + t]; or null
  int64_t bias_stride = 0;
  float* scores = nullptr;        // scratch (count)
  float* output = nullptr;        // (heads * head_size)
  float* mean_weights = nullptr;  // (count), added to: the mean over heads of the weights; or null
};

}  // namespace fastseq
