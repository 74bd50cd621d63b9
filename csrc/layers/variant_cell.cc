#include "layers/variant_cell.h"

#include <algorithm>

namespace fastseq {
namespace {

Buffer<float> copy(const float* from, int64_t size) {
  if (from == nullptr) return {};
  Buffer<float> to(size);
  std::copy_n(from, size, to.data());
  return to;
}

}  // namespace

int VariantOptions::gates() const {
  switch (kind) {
    case VariantKind::kRnn:
      return 1;
    case VariantKind::kLstm:
    case VariantKind::kMultiplicativeLstm:
      return coupled ? 3 : 4;
    case VariantKind::kGru:
    case VariantKind::kSru:
      return 3;
    case VariantKind::kSsru:
      return 2;
  }
  return 0;
}

VariantCell::VariantCell(const VariantOptions& options, const VariantWeights& weights, const VariantSizes& sizes)
    : kernels_(&kernels()), options_(options), sizes_(sizes), f_(weights.f), g_(weights.g), h_(weights.h) {
  const int64_t hidden = sizes.hidden, gates = options.gates() * hidden;
  const bool projected_skip = options.kind == VariantKind::kSru && sizes.skip_column < 0;
  const bool multiplicative = options.kind == VariantKind::kMultiplicativeLstm;
  const int64_t rows = gates + (projected_skip || multiplicative ? hidden : 0);
  // One product of the input: behind the gates come SRU's projected skip connection or W_mx, which have no bias.
  const float* weight = weights.weight_ih;
  Buffer<float> joined;
  if (multiplicative) {
    joined = Buffer<float>(rows * sizes.input);
    std::copy_n(weights.weight_mx, hidden * sizes.input,
                std::copy_n(weights.weight_ih, gates * sizes.input, joined.data()));
    weight = joined.data();
  }
  auto bias = Buffer<float>::zeros(rows);
  if (weights.bias_ih != nullptr) std::copy_n(weights.bias_ih, gates, bias.data());
  input_ = Linear(weight, weights.norm_ih == nullptr ? bias.data() : nullptr, rows, sizes.input);

  if (options.has_hidden()) {
    const float* bias_hh = weights.norm_hh == nullptr ? weights.bias_hh : nullptr;
    const int64_t first = options.kind == VariantKind::kGru && !options.reset_after ? 2 * hidden : gates;
    const int64_t from = multiplicative ? hidden : sizes.state;
    hidden_ = Linear(weights.weight_hh, bias_hh, first, from);
    if (first < gates) {
      candidate_ =
          Linear(weights.weight_hh + first * from, bias_hh != nullptr ? bias_hh + first : nullptr, gates - first, from);
    }
    if (multiplicative) mixer_ = Linear(weights.weight_mh, nullptr, hidden, sizes.state);
    if (weights.weight_hr != nullptr) projection_ = Linear(weights.weight_hr, nullptr, sizes.state, hidden);
  }
  const int64_t peepholes = options.kind == VariantKind::kSru || options.coupled ? 2 : 3;
  peephole_ = copy(weights.weight_peep, peepholes * hidden);
  norm_ih_ = copy(weights.norm_ih, gates);
  norm_hh_ = copy(weights.norm_hh, gates);
  norm_c_ = copy(weights.norm_c, hidden);
  if (weights.norm_ih != nullptr) bias_ih_ = copy(weights.bias_ih, gates);
  if (weights.norm_hh != nullptr) bias_hh_ = copy(weights.bias_hh, gates);
  bias_c_ = copy(weights.bias_c, hidden);
}

void VariantCell::project(const float* input, int64_t rows, float* gates) const {
  input_.forward(input, rows, gates);
  if (norm_ih_.size() > 0) {
    kernels_->layer_norm(gates, rows, gates_width(), norm_ih_.data(), bias_ih_.data(), options_.norm_eps, gates);
  }
}

void VariantCell::recurrent_sums(const float* hidden, int64_t rows, VariantScratch& scratch) const {
  const int64_t width = hidden_.out_features();
  scratch.sums.reserve_discard(rows * width);
  float* sums = scratch.sums.data();
  hidden_.forward(hidden, rows, sums);
  if (norm_hh_.size() > 0) {
    kernels_->layer_norm(sums, rows, width, norm_hh_.data(), bias_hh_.data(), options_.norm_eps, sums);
  }
}

const float* VariantCell::step(float* gates, const float* input, int64_t rows, float* hidden, float* cell,
                               VariantScratch& scratch) const {
  const int64_t size = sizes_.hidden;
  CellArgs args;
  args.rows = rows;
  args.size = size;
  args.input_gates = gates;
  args.input_stride = gates_width();
  args.hidden = hidden;
  args.cell = cell;
  args.peephole = peephole_.data();
  args.skip_scale = options_.skip_scale;
  args.f = f_;
  args.g = g_;
  args.h = h_;
  args.coupled = options_.coupled;
  args.clip = options_.clip;
  args.cell_clip = options_.cell_clip;

  scratch.mixed.reserve_discard(rows * size);
  float* mixed = scratch.mixed.data();
  const float* from = hidden;  // what W_hh multiplies
  if (options_.kind == VariantKind::kMultiplicativeLstm) {
    mixer_.forward(hidden, rows, mixed);
    CellArgs product = args;
    product.update = CellUpdate::kProduct;
    product.input_gates = gates + options_.gates() * size;
    product.hidden_gates = product.output = mixed;
    product.hidden_stride = size;
    kernels_->cell_update(product);
    from = mixed;
  }
  if (options_.has_hidden()) {
    recurrent_sums(from, rows, scratch);
    args.hidden_gates = scratch.sums.data();
    args.hidden_stride = hidden_.out_features();
  }
  const bool apart = !options_.has_hidden() || projection_.out_features() > 0;  // outputs are not yet h
  if (apart) scratch.inner.reserve_discard(rows * size);
  args.output = apart ? scratch.inner.data() : hidden;

  switch (options_.kind) {
    case VariantKind::kRnn:
      args.update = CellUpdate::kRnn;
      break;
    case VariantKind::kLstm:
    case VariantKind::kMultiplicativeLstm:
      args.update = CellUpdate::kLstm;
      if (norm_c_.size() > 0) {
        args.update = CellUpdate::kLstmCell;
        kernels_->cell_update(args);
        kernels_->layer_norm(cell, rows, size, norm_c_.data(), bias_c_.data(), options_.norm_eps, mixed);
        args.update = CellUpdate::kLstmOutput;
        args.cell = mixed;
      }
      break;
    case VariantKind::kGru:
      args.update = CellUpdate::kGru;
      if (!options_.reset_after) {
        CellArgs reset = args;
        reset.update = CellUpdate::kGruReset;
        reset.output = mixed;
        kernels_->cell_update(reset);
        candidate_.forward(mixed, rows, scratch.sums.data());
        args.update = CellUpdate::kGruOutput;
        args.hidden_stride = size;
      }
      break;
    case VariantKind::kSru:
      args.update = CellUpdate::kSru;
      args.skip = sizes_.skip_column < 0 ? gates + options_.gates() * size : input + sizes_.skip_column;
      args.skip_stride = sizes_.skip_column < 0 ? gates_width() : sizes_.input;
      break;
    case VariantKind::kSsru:
      args.update = CellUpdate::kSsru;
      break;
  }
  kernels_->cell_update(args);
  if (options_.has_hidden() && apart) projection_.forward(args.output, rows, hidden);
  return options_.has_hidden() ? hidden : args.output;
}

}  // namespace fastseq
