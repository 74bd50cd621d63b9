// Layers give the same bits whatever the batch, the number of threads and the instruction set.
#include <algorithm>

#include "arrays.h"
#include "layers/attention.h"
#include "layers/recurrent.h"
#include "runtime/thread_pool.h"
#include "testing.h"

using namespace fastseq;
using namespace fastseq::testing;

namespace {

/// Runs `compute` on every instruction set with several numbers of threads; all have to agree.
Floats run_everywhere(const std::string& where, const std::function<Floats()>& compute) {
  const std::string isa_before = kernels().isa;
  const int threads_before = num_threads();
  Floats first;
  for (const auto isa : available_isas()) {
    use_isa(isa);
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      const Floats result = compute();
      if (first.empty()) first = result;
      CHECK_OK(difference(result, first, where + " on " + std::string(isa) + ", threads " + std::to_string(threads)));
    }
  }
  use_isa(isa_before);
  set_num_threads(threads_before);
  return first;
}

struct Ragged {
  std::vector<int64_t> offsets{0};
  Floats input, h0, c0;

  Ragged(const std::vector<int64_t>& lengths, int64_t input_size, int64_t states, int64_t hidden_size) {
    for (const int64_t length : lengths) offsets.push_back(offsets.back() + length);
    input = random_floats(offsets.back() * input_size, 1, -2, 2);
    const auto batch = static_cast<int64_t>(lengths.size());
    h0 = random_floats(states * batch * hidden_size, 2);
    c0 = random_floats(states * batch * hidden_size, 3);
  }
  int64_t batch() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// Random weights and the layers made of them.
struct Model {
  int64_t input_size, hidden_size, directions, layers;
  std::vector<Floats> storage;
  Recurrent recurrent;

  Model(Cell cell, int64_t i, int64_t h, int64_t d, int64_t l)
      : input_size(i), hidden_size(h), directions(d), layers(l), recurrent(cell, make(cell), i, h, d == 2) {}

  std::vector<RecurrentWeights> make(Cell cell) {
    std::vector<RecurrentWeights> weights;
    storage.reserve(static_cast<std::size_t>(4 * layers * directions));
    const auto tensor = [&](int64_t size) {
      storage.push_back(random_floats(size, storage.size() + 10, -0.4f, 0.4f));
      return storage.back().data();
    };
    for (int64_t layer = 0; layer < layers; ++layer) {
      const int64_t in = layer == 0 ? input_size : directions * hidden_size, rows = gate_count(cell) * hidden_size;
      for (int64_t d = 0; d < directions; ++d) {
        weights.push_back({tensor(rows * in), tensor(rows * hidden_size), tensor(rows), tensor(rows)});
      }
    }
    return weights;
  }

  /// output, h_n and (of an LSTM) c_n, one behind the other.
  Floats run(const Ragged& batch, bool with_states) const { return run(batch, with_states, batch.input.data()); }
  Floats run(const Ragged& batch, bool with_states, const RecurrentInput& input) const {
    const int64_t tokens = batch.offsets.back(), states = layers * directions * batch.batch() * hidden_size;
    const bool has_cell = recurrent.cell() == Cell::kLstm;
    Floats output(static_cast<std::size_t>(tokens * recurrent.output_size())), h(static_cast<std::size_t>(states));
    Floats c(has_cell ? h.size() : 0);
    recurrent.forward(input, batch.offsets.data(), batch.batch(), with_states ? batch.h0.data() : nullptr,
                      with_states && has_cell ? batch.c0.data() : nullptr, output.data(), h.data(),
                      has_cell ? c.data() : nullptr);
    output.insert(output.end(), h.begin(), h.end());
    output.insert(output.end(), c.begin(), c.end());
    return output;
  }
};

/// One step of five rows, from their vectors and from their tokens.
void check_steps(const Recurrent& recurrent, const Floats& input, const std::vector<int32_t>& ids,
                 const TokenGates& gates) {
  const int64_t rows = 5, states = recurrent.num_layers() * rows * recurrent.hidden_size();
  Floats hidden = random_floats(states, 6), cell = random_floats(states, 7), output(static_cast<std::size_t>(states));
  Floats hidden_too = hidden, cell_too = cell, output_too = output;
  recurrent.step(input.data(), rows, hidden.data(), cell.data(), output.data());
  recurrent.step(RecurrentInput(ids.data(), gates), rows, hidden_too.data(), cell_too.data(), output_too.data());
  CHECK_OK(difference(hidden_too, hidden, "hidden state"));
  CHECK_OK(difference(cell_too, cell, "cell state"));
  CHECK_OK(difference(output_too, output, "output"));
}

}  // namespace

TEST(a_ragged_batch_gives_each_sequence_what_it_gives_alone) {
  const std::vector<int64_t> lengths = {5, 0, 17, 1, 40, 17, 0, 3, 33};
  for (const Cell cell : {Cell::kRnnTanh, Cell::kRnnRelu, Cell::kLstm, Cell::kGru}) {
    for (const int64_t directions : {1, 2}) {
      const int64_t input_size = 11, hidden_size = 37, layers = 2, states = layers * directions;
      const Ragged batch(lengths, input_size, states, hidden_size);
      const Floats all = run_everywhere(
          "recurrent", [&] { return Model(cell, input_size, hidden_size, directions, layers).run(batch, true); });
      const Model model(cell, input_size, hidden_size, directions, layers);
      const int64_t tokens = batch.offsets.back(), width = directions * hidden_size, rows = batch.batch();
      for (int64_t b = 0; b < rows; ++b) {
        const int64_t length = lengths[static_cast<std::size_t>(b)], first = batch.offsets[static_cast<std::size_t>(b)];
        Ragged one({length}, input_size, states, hidden_size);
        std::copy_n(batch.input.begin() + first * input_size, length * input_size, one.input.begin());
        for (int64_t s = 0; s < states; ++s) {
          std::copy_n(batch.h0.begin() + (s * rows + b) * hidden_size, hidden_size, one.h0.begin() + s * hidden_size);
          std::copy_n(batch.c0.begin() + (s * rows + b) * hidden_size, hidden_size, one.c0.begin() + s * hidden_size);
        }
        const Floats alone = model.run(one, true);
        Floats expected(all.begin() + first * width, all.begin() + (first + length) * width);
        const int64_t kinds = cell == Cell::kLstm ? 2 : 1;  // h_n and c_n
        for (int64_t s = 0; s < kinds * states; ++s) {
          const auto state = all.begin() + tokens * width + (s * rows + b) * hidden_size;
          expected.insert(expected.end(), state, state + hidden_size);
        }
        CHECK_OK(difference(alone, expected, "sequence " + std::to_string(b)));
        if (length > 0) continue;
        const Floats h_n(alone.begin(), alone.begin() + states * hidden_size);
        CHECK_OK(difference(h_n, one.h0, "an empty sequence keeps its state"));
      }
    }
  }
}

TEST(tokens_with_known_gates_give_the_bits_of_their_embeddings) {
  const int64_t input_size = 24, hidden_size = 37, vocab_size = 24, layers = 2;
  const Floats embedding = random_floats(vocab_size * input_size, 5, -2, 2);
  for (const Cell cell : {Cell::kRnnTanh, Cell::kLstm, Cell::kGru}) {
    for (const int64_t directions : {1, 2}) {
      Ragged batch({40, 3, 0, 17, 1, 33}, input_size, layers * directions, hidden_size);
      std::vector<int32_t> ids(static_cast<std::size_t>(batch.offsets.back()));
      for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<int32_t>(i * 7 % vocab_size);
        std::copy_n(embedding.begin() + ids[i] * input_size, input_size,
                    batch.input.begin() + static_cast<int64_t>(i) * input_size);
      }
      run_everywhere("tokens", [&] {
        const Model model(cell, input_size, hidden_size, directions, layers);
        const TokenGates gates(model.recurrent, embedding.data(), vocab_size);
        CHECK(!gates.empty());
        const Floats vectors = model.run(batch, true);
        CHECK_OK(difference(model.run(batch, true, RecurrentInput(ids.data(), gates)), vectors, "a sequence"));
        if (directions == 1) check_steps(model.recurrent, batch.input, ids, gates);
        return vectors;
      });
    }
  }
  const Model model(Cell::kLstm, 4, 5, 1, 1);
  CHECK(TokenGates(model.recurrent, embedding.data(), 5).empty());
}

TEST(long_sequences_and_large_states_give_the_same_bits_on_every_team) {
  for (const Cell cell : {Cell::kLstm, Cell::kGru}) {
    const Ragged batch({300, 7, 150}, 20, 2, 130);
    run_everywhere("recurrent", [&] { return Model(cell, 20, 130, 2, 1).run(batch, false); });
  }
}

TEST(an_empty_batch_and_empty_sequences_are_no_special_case) {
  const Model model(Cell::kLstm, 4, 5, 2, 2);
  CHECK(model.run(Ragged({}, 4, 4, 5), true).empty());
  const Floats states = model.run(Ragged({0, 0}, 4, 4, 5), false);
  CHECK_OK(difference(states, Floats(2 * 4 * 2 * 5, 0.0f), "zeros without an initial state"));
}

TEST(batched_attention_gives_the_same_bits_for_any_number_of_threads) {
  AttentionShape shape{2, 6, 2, 400, 150, 20, 24};
  const Floats query = random_floats(2 * 6 * 400 * 20, 1, -2, 2), key = random_floats(2 * 2 * 150 * 20, 2, -2, 2);
  const Floats value = random_floats(2 * 2 * 150 * 24, 3), add = random_floats(2 * 400 * 150, 4, -3, 3);
  AttentionMask mask;
  mask.add = add.data();  // (2, 1, 400, 150)
  mask.batch_stride = 400 * 150;
  mask.query_stride = 150;
  mask.key_stride = 1;
  for (const bool causal : {false, true}) {
    const AttentionMask& used = causal ? AttentionMask{} : mask;
    const Floats all = run_everywhere("attention", [&] {
      Floats output(2 * 6 * 400 * 24);
      scaled_dot_product_attention(shape, query.data(), key.data(), value.data(), used, causal, 0.3f, output.data());
      return output;
    });
    // Query head 5 of sentence 1 alone, with key head 1.
    AttentionShape one{1, 1, 1, 400, 150, 20, 24};
    AttentionMask own = used;
    if (own.add != nullptr) own.add += 400 * 150;
    Floats alone(400 * 24);
    scaled_dot_product_attention(one, query.data() + 11 * 400 * 20, key.data() + 3 * 150 * 20,
                                 value.data() + 3 * 150 * 24, own, causal, 0.3f, alone.data());
    CHECK_OK(difference(alone, Floats(all.begin() + 11 * 400 * 24, all.end()), "one head"));
  }
}

TEST(score_attention_ends_at_each_length) {
  const int64_t batch = 3, queries = 4, keys = 30, size = 21, value_size = 18;
  const Floats query = random_floats(batch * queries * size, 1), key = random_floats(batch * keys * size, 2);
  const Floats value = random_floats(batch * keys * value_size, 3), score = random_floats(size, 4);
  const int64_t lengths[] = {30, 0, 13};
  for (const float* weight_score : {static_cast<const float*>(nullptr), score.data()}) {
    Floats context(batch * queries * value_size), weights(batch * queries * keys);
    run_everywhere("score_attention", [&] {
      score_attention(batch, queries, keys, size, value_size, query.data(), key.data(), value.data(), weight_score,
                      lengths, context.data(), weights.data());
      Floats both = context;
      both.insert(both.end(), weights.begin(), weights.end());
      return both;
    });
    for (int64_t row = 0; row < batch * queries; ++row) {
      const int64_t length = lengths[row / queries];
      double sum = 0;
      for (int64_t t = 0; t < keys; ++t) {
        const float w = weights[static_cast<std::size_t>(row * keys + t)];
        CHECK(t < length ? w > 0.0f : w == 0.0f);
        sum += w;
      }
      CHECK(length == 0 ? sum == 0 : std::fabs(sum - 1) < 1e-6);
      if (length == 0) CHECK_EQ(context[static_cast<std::size_t>(row * value_size)], 0.0f);
    }
  }
}
