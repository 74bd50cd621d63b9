// Portable int8 products.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastseq {
namespace {

constexpr int64_t kInputBytes = 1;
struct I32 {
  int32_t lane[kLanes];
};
struct Weights8 {
  int8_t byte[4 * kLanes];
};
struct Inputs8 {
  int8_t byte[4];
};

inline I32 zero_sums() { return {}; }
inline F32 finish(I32 sum, const int32_t*, int32_t) {
  F32 r;
  for (int i = 0; i < kLanes; ++i) r.lane[i] = static_cast<float>(sum.lane[i]);
  return r;
}
inline Weights8 load_weights(const int8_t* from) {
  Weights8 r;
  std::memcpy(r.byte, from, sizeof r.byte);
  return r;
}
inline Inputs8 broadcast_inputs(const int8_t* from) {
  Inputs8 r;
  std::memcpy(r.byte, from, sizeof r.byte);
  return r;
}
inline I32 add_products(I32 sum, Inputs8 x, Weights8 w) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < 4; ++j) sum.lane[i] += x.byte[j] * w.byte[4 * i + j];
  }
  return sum;
}
inline void store_bytes(int8_t* to, V16 v) {
  for (int i = 0; i < kVirtualLanes; ++i) to[i] = static_cast<int8_t>(v.part[i / kLanes].lane[i % kLanes]);
}
inline void store_inputs(int8_t* to, V16 v) { store_bytes(to, v); }

}  // namespace
}  // namespace fastseq
