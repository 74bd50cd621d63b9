#!/usr/bin/env bash
# Builds the C++ library for 64-bit ARM and runs its tests in emulation: NEON with and without the dot product.
# Needs Debian's packages g++-aarch64-linux-gnu and qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 2; }
done
cmake --preset aarch64 -G Ninja
cmake --build --preset aarch64
ctest --preset aarch64
