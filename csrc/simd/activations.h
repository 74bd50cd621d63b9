// The activations of feed-forward layers. NaN stays NaN in all of them.
#pragma once

#include "kernels/args.h"
#include "simd/math.h"

namespace fastseq {
namespace {

inline F32 relu(F32 x) { return max(broadcast(0.0f), x); }  // in this order NaN stays NaN

inline F32 silu(F32 x) { return x * sigmoid(x); }

/// x Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016).
inline F32 gelu(F32 x) {
  const F32 tail = normal_tail(x);
  return x * select(less(x, broadcast(0.0f)), tail, broadcast(1.0f) - tail);
}

/// The same through tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
inline F32 gelu_tanh(F32 x) {
  const F32 half = broadcast(0.5f);
  const F32 inner = fma(x * x * x, broadcast(0.044715f), x) * broadcast(0.79788456f);
  return x * fma(half, tanh(inner), half);
}

inline F32 activate(Activation activation, F32 x) {
  switch (activation) {
    case Activation::kRelu:
      return relu(x);
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kSilu:
      return silu(x);
    case Activation::kTanh:
      return tanh(x);
    default:
      return x;
  }
}

}  // namespace
}  // namespace fastseq
