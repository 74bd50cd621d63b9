// Sampling: which tokens stay in the draw, and random numbers that depend on what they are for and on nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "search/options.h"
#include "search/processors.h"
#include "search/row_scores.h"

namespace fastseq {

/// A number in (0, 1) for the draw that four numbers name: a counter-based generator (the finaliser of SplitMix64,
/// Steele et al., 2014, over each of them in turn). No state, so no order of sentences, rows or threads matters.
double uniform(uint64_t seed, uint64_t stream, uint64_t step, uint64_t draw);

/// Temperature, top-h, top-k, top-p, min-p, typical decoding, epsilon and eta cutoffs, in this order, as Hugging Face's
/// warpers of these names do them; empty where `options` do not sample. At least `least` tokens stay.
std::unique_ptr<const Processor> make_warper(const SamplingOptions& options, int64_t least);

/// The token of softmax(scores) at `uniform` of its cumulative distribution over tokens ascending; not empty.
int32_t draw(std::span<const RowScores::Entry> possible, double uniform);

}  // namespace fastseq
