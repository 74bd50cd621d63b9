// The attention of decoding steps: cached keys, and the scores and contexts of recurrent decoders.
#include <algorithm>

#include "arrays.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

constexpr double u = kUnitRoundoff;

double dot(const float* a, const float* b, int64_t size, double& magnitude) {
  double sum = 0;
  magnitude = 0;
  for (int64_t i = 0; i < size; ++i) {
    sum += static_cast<double>(a[i]) * b[i];
    magnitude += std::fabs(static_cast<double>(a[i]) * b[i]);
  }
  return sum;
}

constexpr int64_t kSizes[] = {1, 4, 7, 8, 15, 16, 17, 33, 64, 65, 130};

}  // namespace

TEST(dot_scores_and_additive_scores_agree_with_double) {
  constexpr int64_t kCount = 9;
  for (const int64_t size : kSizes) {
    const int64_t stride = size + 3;
    const Floats query = random_floats(size, 1), keys = random_floats((kCount - 1) * stride + size, 2);
    const Floats weight = random_floats(size, 3);
    Doubles dots, dot_bound, additive, additive_bound;
    for (int64_t t = 0; t < kCount; ++t) {
      const float* key = keys.data() + t * stride;
      double magnitude;
      dots.push_back(dot(query.data(), key, size, magnitude));
      dot_bound.push_back(rounding(static_cast<double>(size) / 16 + 5) * magnitude);
      double sum = 0, weights = 0;
      for (int64_t i = 0; i < size; ++i) {
        const auto j = static_cast<std::size_t>(i);
        sum += weight[j] * std::tanh(static_cast<double>(query[j]) + key[i]);
        weights += std::fabs(weight[j]);
      }
      additive.push_back(sum);
      // Each term: its argument of at most 2 is rounded (2 u), tanh adds 3 ulp (6 u).
      additive_bound.push_back((8 * u + rounding(static_cast<double>(size) / 16 + 5)) * weights);
    }
    const std::string where = "size " + std::to_string(size);
    for (const bool is_additive : {false, true}) {
      std::string problem;
      const Floats scores = run_all(
          [&](const KernelTable& table) {
            Unaligned q(query, 1), k(keys, 3), w(weight, 5);
            Floats result(kCount);
            if (is_additive) {
              table.additive_scores(q.data(), k.data(), stride, kCount, w.data(), size, result.data());
            } else {
              table.dot_scores(q.data(), k.data(), stride, kCount, size, result.data());
            }
            return result;
          },
          problem, where);
      CHECK_OK(problem);
      CHECK_OK(is_additive ? excess(scores, additive, additive_bound, "additive " + where)
                           : excess(scores, dots, dot_bound, "dot " + where));
    }
  }
}

TEST(a_weighted_sum_is_one_chain_of_fma_for_each_column) {
  for (const int64_t size : kSizes) {
    for (const int64_t count : {0, 1, 5, 40}) {
      const int64_t stride = size + 2;
      const Floats weights = random_floats(count, 1),
                   values = random_floats(std::max<int64_t>(0, (count - 1) * stride + size), 2);
      Floats expected(static_cast<std::size_t>(size), 0.0f);
      for (int64_t t = 0; t < count; ++t) {
        for (int64_t d = 0; d < size; ++d) {
          float& sum = expected[static_cast<std::size_t>(d)];
          sum = std::fma(weights[static_cast<std::size_t>(t)], values[static_cast<std::size_t>(t * stride + d)], sum);
        }
      }
      for_each_isa([&](const KernelTable& table) {
        Unaligned v(values, 1);
        Floats output(static_cast<std::size_t>(size));
        table.weighted_sum(weights.data(), v.data(), stride, count, size, output.data());
        CHECK_OK(difference(output, expected, std::string(table.isa) + " size " + std::to_string(size)));
      });
    }
  }
}

TEST(decode_attention_agrees_with_double_through_any_index) {
  constexpr int64_t kHeads = 3, kRows = 60;
  for (const int64_t size : {1, 7, 16, 20, 64, 70}) {
    for (const int64_t count : {1, 2, 17, 60}) {
      const int64_t width = kHeads * size, stride = width + 4;
      const Floats query = random_floats(width, 1, -2, 2), keys = random_floats(kRows * stride, 2, -2, 2);
      const Floats values = random_floats(kRows * stride, 3);
      std::vector<int32_t> index(static_cast<std::size_t>(count));
      for (int64_t t = 0; t < count; ++t) index[static_cast<std::size_t>(t)] = static_cast<int32_t>(t * 37 % kRows);
      for (const bool indexed : {false, true}) {
        Doubles expected(static_cast<std::size_t>(width)), bound(expected.size());
        Doubles mean(static_cast<std::size_t>(count), 0.5), mean_bound(mean.size(), 2 * kHeads * u);
        for (int64_t head = 0; head < kHeads; ++head) {
          Doubles score;
          double error = 0, sum = 0;
          for (int64_t t = 0; t < count; ++t) {
            const int64_t row = indexed ? index[static_cast<std::size_t>(t)] : t;
            double magnitude;
            score.push_back(0.25 *
                            dot(query.data() + head * size, keys.data() + row * stride + head * size, size, magnitude));
            error = std::fmax(error, 0.25 * rounding(static_cast<double>(size) / 16 + 6) * magnitude);
          }
          const double largest = *std::max_element(score.begin(), score.end());
          const double range = largest - *std::min_element(score.begin(), score.end());
          for (const double s : score) sum += std::exp(s - largest);
          const double relative = 2 * error + u * (2 * range + 16 + static_cast<double>(count) * (1 + 1.0 / 16));
          for (int64_t t = 0; t < count; ++t) {
            const int64_t row = indexed ? index[static_cast<std::size_t>(t)] : t;
            const double p = std::exp(score[static_cast<std::size_t>(t)] - largest) / sum;
            mean[static_cast<std::size_t>(t)] += p / kHeads;
            mean_bound[static_cast<std::size_t>(t)] += relative * p;
            for (int64_t d = 0; d < size; ++d) {
              const double v = values[static_cast<std::size_t>(row * stride + head * size + d)];
              expected[static_cast<std::size_t>(head * size + d)] += p * v;
              bound[static_cast<std::size_t>(head * size + d)] += relative * p * std::fabs(v);
            }
          }
        }
        Floats first_mean;
        std::string problem;
        const Floats output = run_all(
            [&](const KernelTable& table) {
              Floats scores(static_cast<std::size_t>(count)), result(static_cast<std::size_t>(width));
              Floats weights(static_cast<std::size_t>(count), 0.5f);
              DecodeAttentionArgs args;
              args.heads = kHeads;
              args.head_size = size;
              args.count = count;
              args.query = query.data();
              args.keys = keys.data();
              args.values = values.data();
              args.index = indexed ? index.data() : nullptr;
              args.stride = stride;
              args.scale = 0.25f;
              args.scores = scores.data();
              args.output = result.data();
              args.mean_weights = weights.data();
              table.decode_attention(args);
              CHECK_OK(excess(weights, mean, mean_bound, "mean weights"));
              result.insert(result.end(), weights.begin(), weights.end());
              return result;
            },
            problem, "decode_attention");
        CHECK_OK(problem);
        CHECK_OK(excess(Floats(output.begin(), output.begin() + width), expected, bound, "output"));
      }
    }
  }
}
