// Functions of each element: output[i] = f(input[i]); output may be input.
#include "kernels/register.h"
#include "simd/activations.h"

namespace fastseq {
namespace {

template <F32 (*Function)(F32)>
void map(const float* input, int64_t size, float* output) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) store(output + i, Function(load(input + i)));
  if (i < size) store_partial(output + i, Function(load_partial(input + i, size - i)), size - i);
}

void add(const float* a, const float* b, int64_t size, float* output) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) store(output + i, load(a + i) + load(b + i));
  for (; i < size; ++i) output[i] = a[i] + b[i];
}

void multiply(const float* a, const float* b, int64_t size, float* output) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) store(output + i, load(a + i) * load(b + i));
  for (; i < size; ++i) output[i] = a[i] * b[i];
}

}  // namespace

FASTSEQ_REGISTER(elementwise) {
  table.add = add;
  table.multiply = multiply;
  table.relu = map<relu>;
  table.tanh = map<tanh>;
  table.sigmoid = map<sigmoid>;
  table.silu = map<silu>;
  table.exp = map<exp>;
  table.gelu = map<gelu>;
  table.gelu_tanh = map<gelu_tanh>;
}

}  // namespace fastseq
