#include "models/transition_cell.h"

#include <cstring>
#include <limits>

#include "layers/recurrent.h"
#include "models/normed_linear.h"

namespace fastseq {
namespace {

// Marian's, `src/common/definitions.h`.
constexpr float kNematusNormEps = 1e-5f;

/// The cell that computes once products and norms are done.
Cell cell_of(TransitionKind kind) {
  switch (kind) {
    case TransitionKind::kTanh:
      return Cell::kRnnTanh;
    case TransitionKind::kRelu:
      return Cell::kRnnRelu;
    case TransitionKind::kLstm:
    case TransitionKind::kMultiplicativeLstm:
      return Cell::kLstm;
    case TransitionKind::kGru:
    case TransitionKind::kGruNematus:
    case TransitionKind::kMultiplicativeGru:
      return Cell::kGru;
  }
  return Cell::kGru;
}

bool is_multiplicative(TransitionKind kind) {
  return kind == TransitionKind::kMultiplicativeLstm || kind == TransitionKind::kMultiplicativeGru;
}

/// A cell of the fused kernels.
class FusedCell final : public TransitionCell {
 public:
  FusedCell(const TensorMap& tensors, const std::string& name, Cell cell, int64_t input_size, int64_t hidden_size)
      : hidden_size_(hidden_size), direction_(make(tensors, name, cell, input_size, hidden_size)) {}

  int64_t gates_width() const override { return direction_.gates_width(); }

  void project(const float* input, int64_t rows, float* gates) const override {
    direction_.project(input, direction_.input_size(), rows, 0, direction_.panel_count(), gates);
  }

  void step(float* gates, int64_t rows, float* hidden, float* cell, TransitionScratch& scratch) const override {
    scratch.next.reserve_discard(rows * hidden_size_);
    direction_.step(gates, rows, 0, direction_.panel_count(), false, hidden, cell, scratch.next.data());
    std::memcpy(hidden, scratch.next.data(), bytes(rows * hidden_size_));
  }

 private:
  static RecurrentDirection make(const TensorMap& tensors, const std::string& name, Cell cell, int64_t input_size,
                                 int64_t hidden_size) {
    const int64_t gates = gate_count(cell) * hidden_size;
    const Buffer<float> nothing(1);  // the weight of no input
    const RecurrentWeights weights{
        input_size > 0 ? tensors.weight(name + ".weight_ih", {gates, input_size}) : WeightView(nothing.data()),
        tensors.weight(name + ".weight_hh", {gates, hidden_size}), tensors.get(name + ".bias_ih", {gates}),
        tensors.get(name + ".bias_hh", {gates})};
    return RecurrentDirection(cell, weights, input_size, hidden_size, tensors.compute_type());
  }

  int64_t hidden_size_;
  RecurrentDirection direction_;
};

/// A cell of products, norms and one elementwise pass.
class ComposedCell final : public TransitionCell {
 public:
  ComposedCell(const TensorMap& tensors, const std::string& name, const TransitionOptions& options, int64_t input_size,
               int64_t hidden_size)
      : kernels_(&kernels()), options_(options), hidden_size_(hidden_size) {
    const int64_t gates = gate_count(cell_of(options.kind)) * hidden_size;
    const bool nematus = options.kind == TransitionKind::kGruNematus;
    const auto product = [&](const std::string& end, bool inside, bool behind, int64_t rows, int64_t columns) {
      const NormedNames names{name + ".weight_" + end, inside ? name + ".offset_" + end : "",
                              options.layer_norm ? name + ".norm_" + end : "", behind ? name + ".bias_" + end : ""};
      const bool split = nematus && rows == gates;
      return NormedLinear(tensors, names, rows, columns, nematus ? kNematusNormEps : kMarianNormEps,
                          split ? 2 * hidden_size : 0);
    };
    if (input_size > 0) {
      input_ = product("ih", nematus, true, gates, input_size);
    } else {
      bias_ = tensors.copy(name + ".bias_ih", {gates});
    }
    hidden_ = product("hh", nematus, true, gates, hidden_size);
    if (is_multiplicative(options_.kind)) {
      mix_input_ = product("mx", true, false, hidden_size, input_size);
      mix_hidden_ = product("mh", true, false, hidden_size, hidden_size);
    }
  }

  int64_t gates_width() const override { return hidden_.out_features() + mix_input_.out_features(); }

  void project(const float* input, int64_t rows, float* gates) const override {
    const int64_t width = gates_width();
    if (input_.out_features() > 0) {
      input_.forward(input, rows, gates, width);
    } else {
      for (int64_t r = 0; r < rows; ++r) std::memcpy(gates + r * width, bias_.data(), bytes(bias_.size()));
    }
    if (is_multiplicative(options_.kind)) mix_input_.forward(input, rows, gates + hidden_.out_features(), width);
  }

  void step(float* gates, int64_t rows, float* hidden, float* cell, TransitionScratch& scratch) const override {
    CellArgs args;
    args.rows = rows;
    args.size = hidden_size_;
    args.input_gates = gates;
    args.input_stride = gates_width();
    args.hidden = hidden;
    args.cell = cell;
    args.f.function = GateActivation::kSigmoid;
    args.output = hidden;
    if (is_multiplicative(options_.kind)) args.hidden = mix(args, gates + hidden_.out_features(), hidden, scratch);
    scratch.sums.reserve_discard(rows * hidden_.out_features());
    hidden_.forward(args.hidden, rows, scratch.sums.data());
    args.hidden_gates = scratch.sums.data();
    args.hidden_stride = hidden_.out_features();
    switch (cell_of(options_.kind)) {
      case Cell::kLstm:
        args.update = CellUpdate::kLstm;
        break;
      case Cell::kGru:
        args.update = CellUpdate::kGru;
        break;
      case Cell::kRnnTanh:
      case Cell::kRnnRelu:
        args.update = CellUpdate::kRnn;
        args.f.function = options_.kind == TransitionKind::kTanh ? GateActivation::kTanh : GateActivation::kRelu;
        args.f.alpha = std::numeric_limits<float>::infinity();  // relu has no upper bound
        break;
    }
    kernels_->cell_update(args);
  }

 private:
  /// m (rows, hidden_size), in scratch.
  const float* mix(const CellArgs& args, float* from_input, const float* hidden, TransitionScratch& scratch) const {
    scratch.mixed.reserve_discard(args.rows * hidden_size_);
    mix_hidden_.forward(hidden, args.rows, scratch.mixed.data());
    CellArgs product = args;
    product.update = CellUpdate::kProduct;
    product.input_gates = from_input;
    product.hidden_gates = product.output = scratch.mixed.data();
    product.hidden_stride = hidden_size_;
    kernels_->cell_update(product);
    return scratch.mixed.data();
  }

  const KernelTable* kernels_;
  TransitionOptions options_;
  int64_t hidden_size_;
  NormedLinear input_, hidden_;          // W_ih, which a cell without input does not have, and W_hh
  NormedLinear mix_input_, mix_hidden_;  // W_mx and W_mh of multiplicative cells
  Buffer<float> bias_;                   // (G * H): what stands for the input of a cell without any
};

}  // namespace

std::unique_ptr<TransitionCell> make_transition_cell(const TensorMap& tensors, const std::string& name,
                                                     const TransitionOptions& options, int64_t input_size,
                                                     int64_t hidden_size) {
  if (options.layer_norm || is_multiplicative(options.kind)) {
    return std::make_unique<ComposedCell>(tensors, name, options, input_size, hidden_size);
  }
  return std::make_unique<FusedCell>(tensors, name, cell_of(options.kind), input_size, hidden_size);
}

}  // namespace fastseq
