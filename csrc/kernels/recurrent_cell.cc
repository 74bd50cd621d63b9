// The cells of a recurrent step whose products were computed apart: those of bfloat16 and int8 weights.
#include "kernels/cells.h"
#include "kernels/register.h"

namespace fastseq {
namespace {

template <Cell C>
void cells(const RecurrentStepArgs& args, const float* sums, int64_t sums_stride) {
  constexpr int64_t kWidth = kGates<C> * kLanes;
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
      F32 sum[kGates<C>];
      for (int g = 0; g < kGates<C>; ++g) sum[g] = load(sums + row * sums_stride + panel * kWidth + g * kLanes);
      const float* gates = args.gates + row * args.gates_stride + panel * kWidth;
      const F32 h = cell<C>(args, sum, gates, row, panel * kLanes);
      store_units(args.output + row * args.output_stride, panel * kLanes, args.hidden_size, h);
    }
  }
}

void recurrent_cell(const RecurrentStepArgs& args, const float* sums, int64_t sums_stride) {
  switch (args.cell) {
    case Cell::kRnnTanh:
      return cells<Cell::kRnnTanh>(args, sums, sums_stride);
    case Cell::kRnnRelu:
      return cells<Cell::kRnnRelu>(args, sums, sums_stride);
    case Cell::kLstm:
      return cells<Cell::kLstm>(args, sums, sums_stride);
    case Cell::kGru:
      return cells<Cell::kGru>(args, sums, sums_stride);
  }
}

}  // namespace

FASTSEQ_REGISTER(recurrent_cell) { table.recurrent_cell = recurrent_cell; }

}  // namespace fastseq
