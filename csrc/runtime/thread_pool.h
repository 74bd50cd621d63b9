// Threads: a pool that lends idle workers to whoever computes.
//
// A caller asks for a team; it gets the workers that are idle at that moment and takes part itself, so a
// call never waits for another one's workers and nested or concurrent calls cannot deadlock: they just find
// fewer workers, down to none. Nor does it wait for a worker that the system is slow to wake: what that one has not
// begun is taken back. Results never depend on the size of the team. Who waits looks for some ten microseconds
// whether there is something to do, then sleeps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace fastseq {

// How long a thread looks again and again before it sleeps: a few times what the system needs to wake one.
constexpr std::chrono::microseconds kPatience{60};

int num_threads();
/// At least 1 (std::invalid_argument otherwise); counts the calling thread.
void set_num_threads(int count);

/// The threads working on one task.
class Team {
 public:
  explicit Team(int size) : size_(size) {}
  int size() const { return size_; }
  /// Waits until every member is here. A body that uses it must not throw.
  void barrier();

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> phase_{0};
};

/// Runs `body(rank, team)` on up to `max_size` threads at once, the caller being rank 0, and returns when all
/// are done. An exception of any member is thrown again in the caller. Who has not come after `patience` is not waited
/// for: a small part of what the work will take is well spent on a worker that the system is slow to wake.
void run_team(int max_size, const std::function<void(int rank, Team& team)>& body,
              std::chrono::microseconds patience = kPatience);

/// Runs `body(begin, end)` over [0, count) in chunks of `grain` (the last may be shorter).
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace fastseq
