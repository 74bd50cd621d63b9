// Stopping a long computation from outside.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

namespace fastseq {

struct Cancelled : std::exception {
  const char* what() const noexcept override { return "cancelled"; }
};

/// Asks `poll` now and then, always on the thread that made this object, whether to stop; members of a team
/// learn of the answer through check() as well.
class Cancellation {
 public:
  explicit Cancellation(std::function<bool()> poll) : poll_(std::move(poll)) {}

  /// Makes every check() from now on throw.
  void cancel() { stop_.store(true, std::memory_order_relaxed); }

  /// Throws Cancelled once `poll` has returned true or cancel() was called.
  void check() {
    if (std::this_thread::get_id() == owner_) {
      const auto now = std::chrono::steady_clock::now();
      if (now - last_ >= std::chrono::milliseconds(50)) {
        last_ = now;
        if (poll_()) stop_.store(true, std::memory_order_relaxed);
      }
    }
    if (stop_.load(std::memory_order_relaxed)) throw Cancelled();
  }

 private:
  std::function<bool()> poll_;
  const std::thread::id owner_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> stop_{false};
};

}  // namespace fastseq
