#include "layers/linear.h"

#include <algorithm>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// A share of work below this many multiply-adds is not worth waking a thread for (some 20 microseconds).
constexpr int64_t kMinimumShare = 1 << 20;
// Reading a weight from memory takes as long as so many multiply-adds with it.
constexpr int64_t kReadingWork = 6;
// Shares of a thread at least, where they can be larger than that: few ends of shares, as a panel is fetched while the
// one before it is multiplied with, and yet little to wait for at the end.
constexpr int64_t kSharesOfThread = 16;
// Rows that pass over a panel while it is in the second-level cache.
constexpr int64_t kRowBlock = 240;

}  // namespace

Linear::Linear(const WeightView& weight, const float* bias, int64_t out_features, int64_t in_features,
               ComputeType compute_type)
    : kernels_(&kernels()),
      weight_(PackedMatrix::dense(*kernels_, weight, out_features, in_features, compute_type)),
      out_features_(out_features) {
  if (bias != nullptr) {
    bias_ = Buffer<float>::zeros(weight_.panel_count() * weight_.width());
    std::copy_n(bias, out_features, bias_.data());
  }
}

void Linear::forward(const float* input, int64_t input_stride, int64_t rows, float* output, int64_t output_stride,
                     Activation activation) const {
  if (rows == 0 || out_features_ == 0) return;
  MatmulArgs all;
  all.input_stride = input_stride;
  all.out_features = out_features_;
  all.bias = bias_.data();
  all.output_stride = output_stride;
  all.activation = activation;

  QuantizedRows quantized;
  if (weight_.quantized()) {
    quantized = QuantizedRows(*kernels_, rows, in_features());
    parallel_for(rows, kMinimumShare / std::max<int64_t>(1, 16 * in_features()) + 1,
                 [&](int64_t begin, int64_t end) { quantized.fill(*kernels_, input, input_stride, begin, end); });
  }

  const int64_t panels = weight_.panel_count();
  const int64_t row_blocks = (rows + kRowBlock - 1) / kRowBlock;
  // Few rows are shared out by panels, so that each weight is read by one thread only.
  const int64_t weight_work = std::max(kReadingWork, std::min(rows, kRowBlock));
  const int64_t panel_work = std::max<int64_t>(1, weight_work * weight_.width() * in_features());
  const int64_t threads = num_threads(), large = threads == 1 ? panels : panels / (threads * kSharesOfThread);
  const int64_t panel_group = std::clamp<int64_t>(kMinimumShare / panel_work + 1, std::max<int64_t>(1, large), panels);
  const int64_t groups = (panels + panel_group - 1) / panel_group;
  parallel_for(row_blocks * groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / groups * kRowBlock, panel = i % groups * panel_group;
      MatmulArgs args = all;
      args.input = input + row * input_stride;
      args.output = output + row * output_stride;
      args.rows = std::min(kRowBlock, rows - row);
      args.panel_begin = panel;
      args.panel_end = std::min(panels, panel + panel_group);
      weight_.multiply(*kernels_, args, quantized, row);
    }
  });
}

}  // namespace fastseq
