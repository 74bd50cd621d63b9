#include "models/transformer_stack.h"

#include <algorithm>
#include <cstring>

#include "runtime/thread_pool.h"

namespace fastseq {
namespace {

// Multiply-adds below which a share of the work is not worth a thread.
constexpr int64_t kMinimumShare = 1 << 19;
// Tokens that pass through the layers together: enough to use each weight many times, few enough to bound the memory.
constexpr int64_t kGroupTokens = 1024;

int64_t longest_of(const Ragged& source) {
  int64_t longest = 0;
  for (int64_t b = 0; b < source.batch_size; ++b) longest = std::max(longest, source.length(b));
  return longest;
}

/// Calls `run(group, its first token)` for groups of whole sequences, one after the other or at once; within a group
/// work the threads that are left over.
template <typename Run>
void for_each_group(const Ragged& source, const Run& run) {
  std::vector<int64_t> groups{0};
  const int64_t share = std::clamp<int64_t>(source.tokens() / num_threads(), 1, kGroupTokens);
  for (int64_t b = 0; b < source.batch_size; ++b) {
    if (source.offsets[b + 1] - source.offsets[groups.back()] > share && b > groups.back()) groups.push_back(b);
  }
  groups.push_back(source.batch_size);
  parallel_for(static_cast<int64_t>(groups.size()) - 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const auto i = static_cast<std::size_t>(g);
      const int64_t first = groups[i], count = groups[i + 1] - first, base = source.offsets[first];
      std::vector<int64_t> offsets(source.offsets + first, source.offsets + first + count + 1);
      for (int64_t& offset : offsets) offset -= base;
      run(Ragged{source.ids + base, offsets.data(), count}, base);
    }
  });
}

}  // namespace

/// Memory of one pass.
struct TransformerStack::Scratch {
  Buffer<float> query_key_value;  // (tokens, 3 * inner)
  Buffer<float> context;          // (tokens, inner)
  Buffer<float> inner;            // of the feed-forward parts
  Buffer<float> residual;         // (2, tokens, hidden)
  Buffer<float> biases;           // (heads, 2 * longest - 1), or empty
  DistanceRows rows;              // or empty
  std::vector<int64_t> places;    // (tokens): the position of each in its sequence
  int64_t longest = 0;
};

TransformerStack::TransformerStack(const TransformerStackConfig& config, const TensorMap& tensors,
                                   const std::string& part, std::shared_ptr<const Embedding> tokens)
    : config_(config), embedding_(tensors, part, std::move(tokens), config) {
  const int64_t distinct =
      config.layers.empty() ? 0 : *std::max_element(config.layers.begin(), config.layers.end()) + 1;
  for (int64_t i = 0; i < distinct; ++i) {
    layers_.emplace_back(tensors, part + ".layers." + std::to_string(i), i == 0, config);
  }
  if (config.convolution > 0) convolution_.emplace(tensors, part + ".convolution", config);
  for (const float base : config.rotary) rotary_.try_emplace(base, base, config.head_size);
  if (config.final_norm) norm_ = Norm(tensors, part + ".norm", config.hidden_size, config);
  if (config.relative_positions == 0) return;
  for (int64_t i = 0; i < (config.relative_layers ? distinct : 1); ++i) {
    const std::string owner = config.relative_layers ? part + ".layers." + std::to_string(i) : part;
    relative_.push_back(
        tensors.copy(owner + ".relative_bias.weight", {config.num_heads, 2 * config.relative_positions + 1}));
  }
}

void TransformerStack::relative_biases(int64_t i, int64_t first, int64_t last, Buffer<float>& biases) const {
  if (relative_.empty() || (i > 0 && !config_.relative_layers)) return;
  const int64_t most = config_.relative_positions, count = last - first + 1;
  const int64_t before = std::max<int64_t>(0, -most - first), after = std::max<int64_t>(0, last - most);
  const auto layer =
      static_cast<std::size_t>(config_.relative_layers ? config_.layers[static_cast<std::size_t>(i)] : 0);
  biases.reserve_discard(config_.num_heads * count);
  for (int64_t head = 0; head < config_.num_heads; ++head) {
    const float* row = relative_[layer].data() + head * (2 * most + 1) + most;
    float* to = biases.data() + head * count;
    std::fill_n(to, before, row[-most]);
    std::copy_n(row + first + before, count - before - after, to + before);
    std::fill_n(to + count - after, after, row[most]);
  }
}

/// Calls `attend(args, first token, head)` for the heads of every sequence, of which a token sees about `seen`. Of
/// `args` the queries, keys and values are still to be said; its memory has `more` floats behind what the kernel needs.
template <typename Attend>
void TransformerStack::for_each_head(const Ragged& source, int64_t seen, int64_t more, Scratch& scratch,
                                     const Attend& attend) const {
  const int64_t heads = config_.num_heads, size = config_.head_size, inner = config_.inner_size();
  const int64_t work = source.tokens() / std::max<int64_t>(1, source.batch_size) * seen * 2 * size + 1;
  parallel_for(source.batch_size * heads, kMinimumShare / work + 1, [&](int64_t begin, int64_t end) {
    Buffer<float> memory(attention_scratch_size(scratch.longest, size, size) + more);
    for (int64_t share = begin; share < end; ++share) {
      const int64_t b = share / heads, head = share % heads, first = source.offsets[b];
      AttentionArgs args;
      args.queries = args.keys = source.length(b);
      args.head_size = args.value_size = size;
      args.output = scratch.context.data() + first * inner + head * size;
      args.output_stride = inner;
      args.scale = config_.attention_scale;
      args.scratch = memory.data();
      attend(args, first, head);
    }
  });
}

void TransformerStack::self_attention(int64_t i, const Ragged& source, bool causal, float* key_value,
                                      const float* input, Scratch& scratch, float* output) const {
  const SelfAttentionWeights& weights = *layer(i).self_attention;
  const int64_t tokens = source.tokens(), heads = config_.num_heads, size = config_.head_size;
  const int64_t inner = config_.inner_size();
  const int64_t window = config_.windows.empty() ? 0 : config_.windows[static_cast<std::size_t>(i)];
  float* projected = scratch.query_key_value.data();
  weights.query_key_value.forward(input, tokens, projected);
  if (!config_.rotary.empty()) {  // queries and keys lie next to each other
    const Rotary& rotary = rotary_.at(config_.rotary[static_cast<std::size_t>(i)]);
    rotary.turn(scratch.places.data(), tokens, 2 * heads, 3 * inner, projected);
  }
  for (int64_t t = 0; key_value != nullptr && t < tokens; ++t) {
    std::memcpy(key_value + t * 2 * inner, projected + t * 3 * inner + inner,
                static_cast<std::size_t>(2 * inner) * sizeof(float));
  }
  const int64_t seen = window == 0 ? scratch.longest : std::min(scratch.longest, 2 * window);
  const bool relative = !weights.relative.empty();
  const int64_t more = relative ? weights.relative.scratch_size(scratch.longest) : 0;
  for_each_head(source, seen, more, scratch, [&](AttentionArgs& args, int64_t first, int64_t head) {
    args.query = projected + first * 3 * inner + head * size;
    args.key = args.query + inner;
    args.value = args.key + inner;
    args.query_stride = args.key_stride = args.value_stride = 3 * inner;
    args.is_causal = causal;
    args.window = window;
    if (scratch.biases.size() > 0) {  // of query q and key k: at key - query, from the middle
      args.add = scratch.biases.data() + head * (2 * scratch.longest - 1) + scratch.longest - 1;
      args.mask_query_stride = -1;
      args.mask_key_stride = 1;
    }
    if (relative) {
      weights.relative.attend(args, head, scratch.rows);
    } else {
      kernels().attention(args);
    }
  });
  weights.output.forward(scratch.context.data(), tokens, output);
}

void TransformerStack::cross_attention(const CrossAttentionWeights& weights, const Ragged& source, const float* memory,
                                       const float* input, Scratch& scratch, float* output) const {
  const int64_t tokens = source.tokens(), size = config_.head_size, inner = config_.inner_size();
  float *query = scratch.query_key_value.data(), *key_value = query + tokens * inner;
  weights.query.forward(input, tokens, query);
  weights.key_value.forward(memory, tokens, key_value);
  for_each_head(source, scratch.longest, 0, scratch, [&](AttentionArgs& args, int64_t first, int64_t head) {
    args.query = query + first * inner + head * size;
    args.key = key_value + first * 2 * inner + head * size;
    args.value = args.key + inner;
    args.query_stride = inner;
    args.key_stride = args.value_stride = 2 * inner;
    kernels().attention(args);
  });
  weights.output.forward(scratch.context.data(), tokens, output);
}

void TransformerStack::run(const Ragged& source, const int32_t* token_types, bool causal,
                           const KeyValueOf& key_value_of, const float* memory, float* x) const {
  const int64_t tokens = source.tokens();
  if (tokens == 0) return;
  Scratch scratch;
  scratch.longest = longest_of(source);
  scratch.rows = DistanceRows(config_.relative_rows, scratch.longest);
  scratch.query_key_value = Buffer<float>(tokens * 3 * config_.inner_size());
  scratch.context = Buffer<float>(tokens * config_.inner_size());
  scratch.residual = Buffer<float>(2 * tokens * config_.hidden_size);
  for (int64_t b = 0; b < source.batch_size; ++b) {
    for (int64_t t = 0; t < source.length(b); ++t) scratch.places.push_back(t);
  }
  embedding_.forward(
      tokens,
      [&](int64_t i) {
        const int32_t type = token_types != nullptr ? token_types[i] : 0;
        return InputEmbedding::Token{source.ids[i], type, scratch.places[static_cast<std::size_t>(i)]};
      },
      x);
  Buffer<float> convolved(convolution_ ? tokens * config_.hidden_size : 0);
  if (convolution_) convolution_->forward(source, x, convolved.data());
  for (int64_t i = 0; i < num_layers(); ++i) {
    const TransformerLayer& weights = layer(i);
    relative_biases(i, 1 - scratch.longest, scratch.longest - 1, scratch.biases);
    residual(weights.self_norm, tokens, x, scratch.residual.data(), [&](const float* input, float* output) {
      self_attention(i, source, causal, key_value_of ? key_value_of(i) : nullptr, input, scratch, output);
    });
    if (memory != nullptr) {
      residual(weights.cross_norm, tokens, x, scratch.residual.data(), [&](const float* input, float* output) {
        cross_attention(*weights.cross_attention, source, memory, input, scratch, output);
      });
    }
    scratch.inner.reserve_discard(weights.feed_forward.scratch_size(tokens));
    residual(weights.feed_forward_norm, tokens, x, scratch.residual.data(), [&](const float* input, float* output) {
      weights.feed_forward.forward(input, tokens, scratch.inner.data(), output);
    });
    if (i == 0 && convolution_) {
      add_rows(x, convolved.data(), tokens, config_.hidden_size, x);
      convolution_->norm.forward(x, tokens, x);
    }
  }
  final_norm(tokens, x);
}

void TransformerStack::encode(const Ragged& source, const int32_t* token_types, float* output) const {
  for_each_group(source, [&](const Ragged& group, int64_t first) {
    run(group, token_types != nullptr ? token_types + first : nullptr, false, {}, nullptr,
        output + first * config_.hidden_size);
  });
}

void TransformerStack::decode(const Ragged& target, const float* memory, float* output) const {
  for_each_group(target, [&](const Ragged& group, int64_t first) {
    run(group, nullptr, true, {}, memory + first * config_.hidden_size, output + first * config_.hidden_size);
  });
}

void TransformerStack::read_prompts(const Ragged& prompts, const KeyValueOf& key_value_of, float* output) const {
  run(prompts, nullptr, true, key_value_of, nullptr, output);
}

}  // namespace fastseq
