#include "runtime/thread_pool.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/cpu.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace fastseq {
namespace {

/// One call of run_team; lives on the caller's stack until every member has left.
struct Task {
  Task(int size, const std::function<void(int, Team&)>& b) : team(size), body(b) {}

  void run(int rank) noexcept {
    try {
      body(rank, team);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }

  Team team;
  const std::function<void(int, Team&)>& body;
  std::atomic<bool> failed{false};
  std::exception_ptr error;
};

/// Lives as long as the process, so that both sides may signal it without minding who returns first.
struct Worker {
  std::atomic<Task*> task{nullptr};  // set by the caller, cleared by the worker when it has left the task
  int rank = 0;
  bool idle = true;  // guarded by Pool::mutex
};

class Pool {
 public:
  /// Appends up to `wanted` idle workers to `lent`, making new ones while there are fewer than `wanted` in all.
  void borrow(int wanted, std::vector<Worker*>& lent) {
    std::lock_guard lock(mutex_);
    for (auto& worker : workers_) {
      if (static_cast<int>(lent.size()) == wanted) break;
      if (worker->idle) take(*worker, lent);
    }
    while (static_cast<int>(workers_.size()) < wanted && add_worker()) take(*workers_.back(), lent);
  }

  void give_back(const std::vector<Worker*>& lent) {
    std::lock_guard lock(mutex_);
    for (Worker* worker : lent) worker->idle = true;
  }

 private:
  static void take(Worker& worker, std::vector<Worker*>& lent) {
    worker.idle = false;
    lent.push_back(&worker);
  }

  bool add_worker() {
    auto worker = std::make_unique<Worker>();
    try {
      // Detached: an idle worker sleeps until the process ends, and the pool is never destroyed.
      std::thread([w = worker.get()] { serve(*w); }).detach();
    } catch (const std::system_error&) {
      return false;  // the system has no more threads: the team is smaller
    }
    workers_.push_back(std::move(worker));
    return true;
  }

  [[noreturn]] static void serve(Worker& worker) {
    for (;;) {
      worker.task.wait(nullptr, std::memory_order_acquire);
      worker.task.load(std::memory_order_acquire)->run(worker.rank);
      worker.task.store(nullptr, std::memory_order_release);
      worker.task.notify_one();
    }
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

std::atomic<Pool*> g_pool{nullptr};
std::atomic<int> g_num_threads{0};

// A forked child has none of the parent's workers, and a lock of the pool may be held by a thread it does not
// have: it forgets the pool and makes its own when it needs one.
void forget_pool() { g_pool.store(nullptr); }

Pool& pool() {
  Pool* current = g_pool.load(std::memory_order_acquire);
  if (current != nullptr) return *current;
#if !defined(_WIN32)
  static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
  static_cast<void>(registered);
#endif
  auto fresh = std::make_unique<Pool>();
  if (g_pool.compare_exchange_strong(current, fresh.get(), std::memory_order_acq_rel)) {
    return *fresh.release();  // never destroyed: workers may outlive static destruction
  }
  return *current;
}

int default_num_threads() {
  if (const char* text = std::getenv("FASTSEQ_NUM_THREADS"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (*end != '\0' || count < 1 || count > 4096) {
      throw std::invalid_argument("FASTSEQ_NUM_THREADS is '" + std::string(text) +
                                  "'; expected a whole number from 1 to 4096");
    }
    return static_cast<int>(count);
  }
  return available_processors();
}

}  // namespace

int num_threads() {
  int count = g_num_threads.load(std::memory_order_relaxed);
  if (count == 0) {
    count = default_num_threads();
    g_num_threads.store(count, std::memory_order_relaxed);
  }
  return count;
}

void set_num_threads(int count) {
  if (count < 1 || count > 4096) {
    throw std::invalid_argument("set_num_threads: num_threads is " + std::to_string(count) +
                                "; expected a whole number from 1 to 4096");
  }
  g_num_threads.store(count, std::memory_order_relaxed);
}

void Team::barrier() {
  if (size_ == 1) return;
  const unsigned phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  // The others are computing an equal share: a short spin nearly always suffices, then sleep.
  for (int spin = 0; spin < 4096; ++spin) {
    if (phase_.load(std::memory_order_acquire) != phase) return;
  }
  phase_.wait(phase, std::memory_order_acquire);
}

void run_team(int max_size, const std::function<void(int, Team&)>& body) {
  const int wanted = std::min(max_size, num_threads()) - 1;
  std::vector<Worker*> lent;
  if (wanted > 0) {
    lent.reserve(static_cast<std::size_t>(wanted));
    pool().borrow(wanted, lent);
  }
  Task task(static_cast<int>(lent.size()) + 1, body);
  for (std::size_t i = 0; i < lent.size(); ++i) {
    lent[i]->rank = static_cast<int>(i) + 1;
    lent[i]->task.store(&task, std::memory_order_release);
    lent[i]->task.notify_one();
  }
  task.run(0);
  for (Worker* worker : lent) worker->task.wait(&task, std::memory_order_acquire);
  if (!lent.empty()) pool().give_back(lent);
  if (task.error) std::rethrow_exception(task.error);
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t chunks = (count + grain - 1) / grain;
  if (chunks == 1 || num_threads() == 1) {
    body(0, count);
    return;
  }
  std::atomic<int64_t> next{0};
  run_team(static_cast<int>(std::min<int64_t>(chunks, 4096)), [&](int, Team&) {
    for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) {
      body(chunk * grain, std::min(count, (chunk + 1) * grain));
    }
  });
}

}  // namespace fastseq
