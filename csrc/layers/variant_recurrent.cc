#include "layers/variant_recurrent.h"

#include <algorithm>
#include <cstring>

#include "layers/recurrent_run.h"
#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Rows projected at once.
constexpr int64_t kChunkRows = 192;
// Multiply-adds below which a share of the sequences is not worth a thread.
constexpr int64_t kMinimumShare = 1 << 20;

/// to (count, size) = rows `first` and on of `from` in the order of the sequences, or zeros.
void load_states(const RaggedOrder& order, const float* from, int64_t first, int64_t size, float* to) {
  for (int64_t rank = 0; rank < order.batch_size(); ++rank, to += size) {
    if (from != nullptr) {
      std::memcpy(to, from + (first + order.sequence(rank)) * size, bytes(size));
    } else {
      std::memset(to, 0, bytes(size));
    }
  }
}

void store_states(const RaggedOrder& order, const float* from, int64_t first, int64_t size, float* to) {
  for (int64_t rank = 0; rank < order.batch_size(); ++rank, from += size) {
    std::memcpy(to + (first + order.sequence(rank)) * size, from, bytes(size));
  }
}

}  // namespace

VariantRecurrent::VariantRecurrent(const VariantOptions& options, const std::vector<VariantWeights>& weights,
                                   int64_t input_size, int64_t hidden_size, int64_t state_size, bool bidirectional,
                                   bool residual)
    : options_(options), num_directions_(bidirectional ? 2 : 1), residual_(residual) {
  cells_.reserve(weights.size());
  const int64_t inner_size = num_directions_ * state_size;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto direction = static_cast<int64_t>(i) % num_directions_;
    VariantSizes sizes{static_cast<int64_t>(i) < num_directions_ ? input_size : inner_size, hidden_size, state_size};
    if (sizes.input == inner_size) sizes.skip_column = direction * hidden_size;
    cells_.emplace_back(options, weights[i], sizes);
  }
}

/// Everything one layer reads and writes; states are those of all its directions.
struct VariantRecurrent::Run {
  const VariantCell* cells;
  const float* input;  // (N, input_size of the layer)
  float* output;       // (N, output_size)
  const int64_t* offsets;
  int64_t batch_size;
  const float *h0, *c0;  // (directions, B, ...) or null
  float *h_n, *c_n;
  bool residual;
};

/// One direction of one layer for the sequences [begin, end).
void VariantRecurrent::run_share(const Run& run, int64_t d, int64_t begin, int64_t end) const {
  const VariantCell& cell = run.cells[d];
  const int64_t size = cell.sizes().input, state = cell.sizes().state, hidden = cell.sizes().hidden;
  const RaggedOrder order(run.offsets + begin, end - begin);
  const int64_t first = d * run.batch_size + begin, steps = order.steps();
  Buffer<float> h, c;
  if (options_.has_hidden()) {
    h = Buffer<float>((end - begin) * state);
    load_states(order, run.h0, first, state, h.data());
  }
  if (options_.has_cell()) {
    c = Buffer<float>((end - begin) * hidden);
    load_states(order, run.c0, first, hidden, c.data());
  }
  Buffer<float> gathered, gates;  // (rows of a chunk, input_size), (rows of a chunk, gates_width)
  VariantScratch scratch;
  for (int64_t done = 0; done < steps;) {
    // Steps whose rows together stay within kChunkRows, or a single one.
    const auto time = [&](int64_t i) { return d == 1 ? steps - 1 - i : i; };
    int64_t rows = 0, stop = done;
    while (stop < steps && (stop == done || rows + order.active(time(stop)) <= kChunkRows)) {
      rows += order.active(time(stop++));
    }
    gathered.reserve_discard(rows * size);
    gates.reserve_discard(rows * cell.gates_width());
    float* to = gathered.data();
    for (int64_t i = done; i < stop; ++i) {
      for (int64_t rank = 0; rank < order.active(time(i)); ++rank, to += size) {
        std::memcpy(to, run.input + order.token(rank, time(i)) * size, bytes(size));
      }
    }
    cell.project(gathered.data(), rows, gates.data());
    for (int64_t row = 0; done < stop; ++done) {
      const int64_t t = time(done), active = order.active(t);
      const float* from = cell.step(gates.data() + row * cell.gates_width(), gathered.data() + row * size, active,
                                    h.data(), c.data(), scratch);
      for (int64_t rank = 0; rank < active; ++rank) {
        float* output = run.output + order.token(rank, t) * output_size() + d * state;
        if (run.residual) {
          kernels().add(gathered.data() + (row + rank) * size + d * state, from + rank * state, state, output);
        } else {
          std::memcpy(output, from + rank * state, bytes(state));
        }
      }
      row += active;
    }
  }
  if (options_.has_hidden()) store_states(order, h.data(), first, state, run.h_n);
  if (options_.has_cell()) store_states(order, c.data(), first, hidden, run.c_n);
}

void VariantRecurrent::forward(const float* input, const int64_t* offsets, int64_t batch_size, const float* h0,
                               const float* c0, float* output, float* h_n, float* c_n) const {
  const int64_t tokens = batch_size > 0 ? offsets[batch_size] : 0;
  Buffer<float> inner[2];  // outputs of the layers below the last, taken in turn
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    const bool last = layer + 1 == num_layers();
    if (!last) inner[layer % 2].reserve_discard(tokens * output_size());
    const int64_t h_offset = layer * num_directions_ * batch_size * state_size();
    const int64_t c_offset = layer * num_directions_ * batch_size * hidden_size();
    const Run run{&cells_[static_cast<std::size_t>(layer * num_directions_)],
                  layer == 0 ? input : inner[(layer + 1) % 2].data(),
                  last ? output : inner[layer % 2].data(),
                  offsets,
                  batch_size,
                  h0 != nullptr ? h0 + h_offset : nullptr,
                  c0 != nullptr ? c0 + c_offset : nullptr,
                  h_n != nullptr ? h_n + h_offset : nullptr,
                  c_n != nullptr ? c_n + c_offset : nullptr,
                  residual_ && layer > 0};
    // Sequences are shared out, so that no thread waits for another one within a step.
    const int64_t token_work = run.cells->gates_width() * (run.cells->sizes().input + state_size());
    const int64_t most = std::max<int64_t>(1, std::min<int64_t>(batch_size, num_threads()));
    const int64_t shares = std::clamp<int64_t>(tokens * token_work / kMinimumShare, 1, most);
    const auto cut = [&](int64_t share) -> int64_t {  // sequences of the shares before, about equal tokens in each
      if (share == shares) return batch_size;
      return std::lower_bound(offsets, offsets + batch_size, tokens * share / shares) - offsets;
    };
    parallel_for(num_directions_ * shares, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) run_share(run, i / shares, cut(i % shares), cut(i % shares + 1));
    });
  }
}

void VariantRecurrent::step(const float* input, int64_t rows, float* hidden, float* cell, float* output) const {
  Buffer<float> gates, sums[2];  // sums: outputs of residual layers, taken in turn
  VariantScratch scratch;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    const VariantCell& current = cells_[static_cast<std::size_t>(layer)];
    gates.reserve_discard(rows * current.gates_width());
    current.project(input, rows, gates.data());
    float* h = hidden != nullptr ? hidden + layer * rows * state_size() : nullptr;
    float* c = cell != nullptr ? cell + layer * rows * hidden_size() : nullptr;
    const float* from = current.step(gates.data(), input, rows, h, c, scratch);
    Buffer<float>& kept = sums[layer % 2];
    kept.reserve_discard(rows * output_size());
    if (residual_ && layer > 0) {
      kernels().add(input, from, rows * output_size(), kept.data());
    } else {
      std::memcpy(kept.data(), from, bytes(rows * output_size()));
    }
    input = kept.data();
  }
  std::memcpy(output, input, bytes(rows * output_size()));
}

}  // namespace fastseq
