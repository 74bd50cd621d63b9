// Time steps are taken in chunks: one product projects the inputs of a whole chunk, then the steps follow while
// the projected gates are in cache. Threads share out directions and sequences, where there are enough of these to fill
// the registers; they never wait for each other. The rest work as teams, in which each member owns a slice of the
// units, so that its slice of the weights stays in its own cache; members meet once a step to exchange the hidden
// state.
#include "layers/recurrent_run.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>

#include "runtime/thread_pool.h"

namespace fastseq {

RaggedOrder::RaggedOrder(const int64_t* offsets, int64_t batch_size) : sequence_(batch_size) {
  const auto length_of = [&](int64_t b) { return offsets[b + 1] - offsets[b]; };
  std::iota(sequence_.begin(), sequence_.end(), 0);
  std::stable_sort(sequence_.begin(), sequence_.end(),
                   [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); });
  for (const int64_t b : sequence_) {
    begin_.push_back(offsets[b]);
    length_.push_back(length_of(b));
  }
  count_active();
}

RaggedOrder::RaggedOrder(const RaggedOrder& all, int64_t first_rank, int64_t shares) {
  for (auto rank = static_cast<std::size_t>(first_rank); rank < all.sequence_.size();
       rank += static_cast<std::size_t>(shares)) {
    sequence_.push_back(all.sequence_[rank]);
    begin_.push_back(all.begin_[rank]);
    length_.push_back(all.length_[rank]);
  }
  count_active();
}

void RaggedOrder::count_active() {
  int64_t active = batch_size();
  for (int64_t t = 0; active > 0 && t < length_.front(); ++t) {
    while (length(active - 1) <= t) --active;
    active_.push_back(active);
  }
}

namespace {

// Rows projected at once: their gates stay in the second-level cache up to a few hundred units.
constexpr int64_t kChunkRows = 192;
// Multiply-adds of one step below which a second thread costs more than it brings.
constexpr int64_t kMinimumStepWork = 1 << 16;
// Sequences at a time, on average, that a share of them needs to be worth reading all weights for, and multiply-adds.
constexpr int64_t kShareRows = 4;
constexpr int64_t kMinimumShareWork = 1 << 20;
// A team waits a microsecond for its members for so many multiply-adds, some twentieth of the time these take.
constexpr int64_t kWorkForPatience = 1 << 20;

struct Chunk {
  int64_t begin, end, rows;  // time steps, and their rows in all
};

/// Consecutive steps whose rows together stay within kChunkRows (or a single step).
std::vector<Chunk> make_chunks(const RaggedOrder& order) {
  std::vector<Chunk> chunks;
  for (int64_t t = 0; t < order.steps(); ++t) {
    if (chunks.empty() || chunks.back().rows + order.active(t) > kChunkRows) chunks.push_back({t, t, 0});
    chunks.back().end = t + 1;
    chunks.back().rows += order.active(t);
  }
  return chunks;
}

/// One direction of the layer for a share of the sequences, run by the members of one team.
class DirectionRun {
 public:
  DirectionRun(const LayerRun& run, int d, RaggedOrder order)
      : run_(run), order_(std::move(order)), direction_(*run.direction[d]), d_(d) {
    const int64_t batch = order_.batch_size(), state = batch * run.hidden_size;
    chunks_ = make_chunks(order_);
    int64_t most_rows = 0;
    for (const Chunk& chunk : chunks_) most_rows = std::max(most_rows, chunk.rows);
    if (run.input.ids == nullptr) gathered_ = Buffer<float>(most_rows * direction_.input_size());
    gates_ = Buffer<float>(most_rows * direction_.gates_width());
    hidden_[0] = Buffer<float>(state);
    hidden_[1] = Buffer<float>(state);
    if (run.has_cell) cell_ = Buffer<float>(state);
    for (int64_t rank = 0; rank < batch; ++rank) {
      const int64_t b = order_.sequence(rank);
      load_state(run.h0[d], b, hidden_[0].data() + rank * run.hidden_size);
      load_state(run.h0[d], b, hidden_[1].data() + rank * run.hidden_size);
      if (run.has_cell) load_state(run.c0[d], b, cell_.data() + rank * run.hidden_size);
    }
  }

  void set_members(int members) { team_.emplace(members); }

  void work(int member) {
    const int64_t panels = direction_.panel_count();
    const int64_t begin = panels * member / team_->size(), end = panels * (member + 1) / team_->size();
    const auto count = static_cast<int64_t>(chunks_.size());
    for (int64_t i = 0; i < count; ++i) {
      const Chunk& chunk = chunks_[static_cast<std::size_t>(reverse() ? count - 1 - i : i)];
      run_chunk(chunk, member, begin, end);
    }
    if (member == 0) store_states();
  }

 private:
  bool reverse() const { return d_ == 1; }

  void load_state(const float* states, int64_t b, float* to) const {
    const auto bytes = static_cast<std::size_t>(run_.hidden_size) * sizeof(float);
    if (states != nullptr) {
      std::memcpy(to, states + b * run_.hidden_size, bytes);
    } else {
      std::memset(to, 0, bytes);
    }
  }

  void run_chunk(const Chunk& chunk, int member, int64_t panel_begin, int64_t panel_end) {
    if (run_.input.ids != nullptr) {
      look_up(chunk, panel_begin, panel_end);
    } else {
      const float* input = gather(chunk, member);
      direction_.project(input, direction_.input_size(), chunk.rows, panel_begin, panel_end, gates_.data());
    }
    const int64_t steps = chunk.end - chunk.begin;
    int64_t row = reverse() ? chunk.rows : 0;
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t t = reverse() ? chunk.end - 1 - i : chunk.begin + i;
      const int64_t active = order_.active(t);
      if (reverse()) row -= active;
      // Buffer t % 2 holds what step t writes, so a sequence's last state lies where its last step left it; a
      // reverse sequence that starts at t finds its initial state in either.
      const float* before = hidden_[(t + 1) % 2].data();
      float* after = hidden_[t % 2].data();
      direction_.step(gates_.data() + row * direction_.gates_width(), active, panel_begin, panel_end, t % 2 == 1,
                      before, cell_.data(), after);
      if (!reverse()) row += active;
      team_->barrier();
      if (member == team_->size() - 1) scatter(t, active, after);
    }
    // All have met after projecting, so the gathered inputs may be replaced; the gates are each member's own.
  }

  /// The gates of the chunk's tokens, time after time, for the units of some panels.
  void look_up(const Chunk& chunk, int64_t panel_begin, int64_t panel_end) {
    const int64_t width = direction_.gates_width(), panel_width = width / direction_.panel_count();
    const int64_t first = panel_begin * panel_width;
    const auto bytes = static_cast<std::size_t>((panel_end - panel_begin) * panel_width) * sizeof(float);
    float* to = gates_.data() + first;
    for (int64_t t = chunk.begin; t < chunk.end; ++t) {
      for (int64_t rank = 0; rank < order_.active(t); ++rank, to += width) {
        std::memcpy(to, run_.input.token_gates->row(d_, run_.input.ids[order_.token(rank, t)]) + first, bytes);
      }
    }
  }

  /// The chunk's inputs, time after time; a single sequence already lies so.
  const float* gather(const Chunk& chunk, int member) {
    const int64_t size = direction_.input_size();
    if (order_.batch_size() == 1) return run_.input.vectors + order_.token(0, chunk.begin) * size;
    int64_t row = 0;
    for (int64_t t = chunk.begin; t < chunk.end; ++t) {
      for (int64_t rank = 0; rank < order_.active(t); ++rank, ++row) {
        if (row % team_->size() != member) continue;
        std::memcpy(gathered_.data() + row * size, run_.input.vectors + order_.token(rank, t) * size,
                    static_cast<std::size_t>(size) * sizeof(float));
      }
    }
    team_->barrier();
    return gathered_.data();
  }

  void scatter(int64_t t, int64_t active, const float* hidden) {
    for (int64_t rank = 0; rank < active; ++rank) {
      std::memcpy(run_.output + order_.token(rank, t) * run_.output_stride + d_ * run_.hidden_size,
                  hidden + rank * run_.hidden_size, static_cast<std::size_t>(run_.hidden_size) * sizeof(float));
    }
  }

  void store_states() {
    const auto bytes = static_cast<std::size_t>(run_.hidden_size) * sizeof(float);
    for (int64_t rank = 0; rank < order_.batch_size(); ++rank) {
      const int64_t last = reverse() ? 0 : std::max<int64_t>(0, order_.length(rank) - 1);
      const int64_t to = order_.sequence(rank) * run_.hidden_size, from = rank * run_.hidden_size;
      std::memcpy(run_.h_n[d_] + to, hidden_[last % 2].data() + from, bytes);
      if (run_.has_cell) std::memcpy(run_.c_n[d_] + to, cell_.data() + from, bytes);
    }
  }

  const LayerRun& run_;
  const RaggedOrder order_;
  const RecurrentDirection& direction_;
  const int d_;
  std::optional<Team> team_;
  std::vector<Chunk> chunks_;
  Buffer<float> gathered_;   // (rows of a chunk, input_size)
  Buffer<float> gates_;      // (rows of a chunk, gates_width)
  Buffer<float> hidden_[2];  // (B, H), long sequences first; written in turn
  Buffer<float> cell_;       // (B, H)
};

}  // namespace

void run_layer(const LayerRun& run, int num_directions) {
  const RaggedOrder& order = *run.order;
  const RecurrentDirection& first = *run.direction[0];
  int64_t tokens = 0;
  for (int64_t rank = 0; rank < order.batch_size(); ++rank) tokens += order.length(rank);
  const int64_t mean_rows = order.steps() > 0 ? tokens / order.steps() : 0;
  const int64_t token_work = first.gates_width() * (run.hidden_size + first.input_size());
  const int64_t threads = num_threads();
  const int64_t shares = std::max<int64_t>(
      1, std::min({threads / num_directions, mean_rows / kShareRows, tokens * token_work / kMinimumShareWork}));
  const int64_t jobs = shares * num_directions, step_work = mean_rows / shares * token_work;
  const int64_t members =
      std::clamp<int64_t>(step_work / kMinimumStepWork, 1, std::min((threads + jobs - 1) / jobs, first.panel_count()));
  std::deque<DirectionRun> runs;
  for (int64_t share = 0; share < shares; ++share) {
    for (int d = 0; d < num_directions; ++d) runs.emplace_back(run, d, RaggedOrder(order, share, shares));
  }
  if (members == 1) {
    for (DirectionRun& job : runs) job.set_members(1);
    parallel_for(jobs, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) runs[static_cast<std::size_t>(i)].work(0);
    });
    return;
  }
  const auto work = [&](int rank, Team& team) {
    // How many threads there are is known only here: each job gets its share of them.
    const int size = team.size(), groups = std::min(static_cast<int>(jobs), size);
    if (rank == 0) {
      for (int i = 0; i < jobs; ++i) {
        runs[static_cast<std::size_t>(i)].set_members(groups < jobs ? 1 : (size - i + groups - 1) / groups);
      }
    }
    team.barrier();
    for (int i = rank % groups; i < jobs; i += groups) runs[static_cast<std::size_t>(i)].work(rank / groups);
  };
  const std::chrono::microseconds patience(
      std::clamp(tokens * token_work / kWorkForPatience, int64_t{60}, int64_t{1000}));
  run_team(static_cast<int>(members * jobs), work, patience);
}

}  // namespace fastseq
