// Attention with vectors of distances, and the convolution over tokens: against plain loops, on every instruction set.
#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "layers/relative_attention.h"
#include "models/token_convolution.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

// Of the distances -5 to 5, with 7 vectors: exact near 0, together farther away, as logarithmic buckets are.
const std::vector<int64_t> kRows{0, 0, 1, 1, 2, 3, 4, 5, 5, 6, 6};
constexpr int64_t kVectors = 7, kHeads = 2;

struct Case {
  int64_t length, size;
  bool keys, queries;
};

struct Inputs {
  explicit Inputs(const Case& c)
      : stride(3 * c.size + 5),
        qkv(random_floats(c.length * stride, 1, -1, 1)),
        key_vectors(random_floats(kHeads * kVectors * c.size, 2)),
        query_vectors(random_floats(kHeads * kVectors * c.size, 3)) {}
  int64_t stride;
  Floats qkv;  // (length, stride): query, key and value of one head
  Floats key_vectors, query_vectors;
};

Floats attend(const Case& c, const Inputs& in, int64_t head, float scale) {
  RelativeAttention attention;
  attention.count = kVectors;
  const WeightView keys(in.key_vectors.data()), queries(in.query_vectors.data());
  if (c.keys) attention.keys = DistanceVectors(keys, kHeads, kVectors, c.size);
  if (c.queries) attention.queries = DistanceVectors(queries, kHeads, kVectors, c.size);
  Floats output(static_cast<std::size_t>(c.length * c.size));
  Buffer<float> scratch(attention_scratch_size(c.length, c.size, c.size) + attention.scratch_size(c.length));
  AttentionArgs args;
  args.queries = args.keys = c.length;
  args.head_size = args.value_size = c.size;
  args.query = in.qkv.data();
  args.key = args.query + c.size;
  args.value = args.key + c.size;
  args.query_stride = args.key_stride = args.value_stride = in.stride;
  args.output = output.data();
  args.output_stride = c.size;
  args.scale = scale;
  args.scratch = scratch.data();
  attention.attend(args, head, DistanceRows(kRows, c.length + 3));  // as of a batch with a longer sequence
  return output;
}

/// The same in double: softmax of the scores as they are defined, times the values.
Doubles definition(const Case& c, const Inputs& in, int64_t head, double scale) {
  Doubles output(static_cast<std::size_t>(c.length * c.size));
  const auto dot = [&](const float* a, const float* b) {
    double sum = 0;
    for (int64_t d = 0; d < c.size; ++d) sum += static_cast<double>(a[d]) * b[d];
    return sum;
  };
  for (int64_t i = 0; i < c.length; ++i) {
    const float* q = in.qkv.data() + i * in.stride;
    Doubles scores;
    for (int64_t j = 0; j < c.length; ++j) {
      const float* k = in.qkv.data() + j * in.stride + c.size;
      const int64_t row = kRows[static_cast<std::size_t>(std::clamp<int64_t>(j - i, -5, 5) + 5)];
      const int64_t vector = (head * kVectors + row) * c.size;
      double score = dot(q, k);
      if (c.keys) score += dot(q, in.key_vectors.data() + vector);
      if (c.queries) score += dot(k, in.query_vectors.data() + vector);
      scores.push_back(scale * score);
    }
    const double largest = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - largest);
    for (int64_t j = 0; j < c.length; ++j) {
      for (int64_t d = 0; d < c.size; ++d) {
        output[static_cast<std::size_t>(i * c.size + d)] +=
            scores[static_cast<std::size_t>(j)] / total *
            in.qkv[static_cast<std::size_t>(j * in.stride + 2 * c.size + d)];
      }
    }
  }
  return output;
}

}  // namespace

TEST(relative_attention_is_its_definition_on_every_instruction_set) {
  const std::string isa_before = kernels().isa;
  for (const Case& c :
       {Case{1, 4, true, true}, Case{7, 8, true, false}, Case{33, 8, false, true}, Case{31, 13, true, true},
        Case{128, 16, true, true}, Case{129, 8, true, true}, Case{300, 16, true, true}}) {
    const Inputs in(c);
    const std::string where = std::to_string(c.length) + " tokens";
    for (int64_t head = 0; head < kHeads; ++head) {
      Floats first;
      for (const auto isa : available_isas()) {
        use_isa(isa);
        const Floats found = attend(c, in, head, 0.3f);
        if (first.empty()) first = found;
        CHECK_OK(difference(found, first, where + " on " + std::string(isa)));
      }
      // Scores of at most 0.3 * 3 * size have errors of some roundings; those of the exponentials and of the sums of
      // values within (-1, 1), whose weights sum to 1, come on top.
      const Doubles expected = definition(c, in, head, 0.3);
      const double bound = rounding(static_cast<double>(c.length) + 12) +
                           2 * 0.9 * static_cast<double>(c.size) * rounding(static_cast<double>(c.size) + 8);
      CHECK_OK(excess(first, expected, Doubles(expected.size(), bound), where));
    }
  }
  use_isa(isa_before);
}

TEST(distances_beyond_the_rows_have_those_of_the_ends) {
  const DistanceRows rows(kRows, 9);
  for (int64_t distance = -8; distance <= 8; ++distance) {
    const auto known = static_cast<std::size_t>(std::clamp<int64_t>(distance, -5, 5) + 5);
    CHECK_EQ(*rows.from(distance), kRows[known]);
  }
}

TEST(a_convolution_sees_the_tokens_of_its_own_sequence) {
  constexpr int64_t kHidden = 3, kWidth = 5;
  std::map<std::string, Floats> numbers;
  numbers["c.weight"] = random_floats(kHidden * kWidth * kHidden, 1);
  numbers["c.bias"] = random_floats(kHidden, 2);
  numbers["c_norm.weight"] = numbers["c_norm.bias"] = random_floats(kHidden, 3);
  const auto read = [&](const std::string& name) {
    Tensor tensor;
    tensor.data = numbers[name].data();
    tensor.shape = name == "c.weight" ? std::vector<int64_t>{kHidden, kWidth * kHidden} : std::vector<int64_t>{kHidden};
    return tensor;
  };
  TransformerStackConfig config;
  config.hidden_size = kHidden;
  config.convolution = kWidth;
  const TokenConvolution convolution(TensorMap({"c.weight", "c.bias", "c_norm.weight", "c_norm.bias"}, read), "c",
                                     config);
  const std::vector<int64_t> offsets{0, 4, 4, 5, 12};
  const Floats x = random_floats(12 * kHidden, 4);
  Floats found(x.size());
  convolution.forward({nullptr, offsets.data(), 4}, x.data(), found.data());
  Doubles expected;
  for (std::size_t b = 0; b + 1 < offsets.size(); ++b) {
    for (int64_t i = offsets[b]; i < offsets[b + 1]; ++i) {
      for (std::size_t o = 0; o < kHidden; ++o) {
        double sum = numbers["c.bias"][o];
        for (int64_t k = 0; k < kWidth; ++k) {
          const int64_t from = i + k - kWidth / 2;
          for (int64_t d = 0; d < kHidden && from >= offsets[b] && from < offsets[b + 1]; ++d) {
            sum += static_cast<double>(x[static_cast<std::size_t>(from * kHidden + d)]) *
                   numbers["c.weight"][o * kWidth * kHidden + static_cast<std::size_t>(k * kHidden + d)];
          }
        }
        expected.push_back(sum);
      }
    }
  }
  const double bound = (kWidth * kHidden + 1) * rounding(kWidth * kHidden + 1);  // of as many products below 1
  CHECK_OK(excess(found, expected, Doubles(expected.size(), bound), "convolution"));
}
