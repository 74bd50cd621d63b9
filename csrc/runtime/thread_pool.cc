#include "runtime/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
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

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits for `done()`, at most so long; returns what it said last.
template <typename Done>
bool spin_until(const Done& done, std::chrono::microseconds patience = kPatience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

/// Waits until `value` is no longer `old`, sleeping after a while.
template <typename T>
void wait_for_change(const std::atomic<T>& value, T old) {
  if (!spin_until([&] { return value.load(std::memory_order_acquire) != old; })) {
    value.wait(old, std::memory_order_acquire);
  }
}

/// One call of run_team or parallel_for; lives on the caller's stack until every member has left.
struct Task {
  explicit Task(const std::function<void(int, Team&)>& b) : body(b) {}

  /// Of a worker: it does nothing until the caller has said how many they are.
  void join() noexcept {
    const int rank = joined.fetch_add(1, std::memory_order_relaxed) + 1;
    if (size.load(std::memory_order_acquire) == 0) wait_for_change(size, 0);
    run(rank);
  }

  void run(int rank) noexcept {
    try {
      body(rank, *team);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }

  void begin(int members) {
    team.emplace(members);
    size.store(members, std::memory_order_release);
    size.notify_all();
  }

  const std::function<void(int, Team&)>& body;
  std::optional<Team> team;
  std::atomic<int> joined{0};
  std::atomic<int> size{0};  // 0: not known yet
  std::atomic<bool> failed{false};
  std::exception_ptr error;
};

/// Lives as long as the process, so that both sides may signal it without minding who returns first.
struct Worker {
  enum State { kWaiting, kOffered, kWorking };

  /// Of the caller who has borrowed it.
  void offer(Task& work) {
    // Linux may wake a thread on the processor of who wakes it, behind the caller's own work, for milliseconds.
    if (const int here = current_processor(); here >= 0 && here != kept_off) {
      keep_off(thread, here);
      kept_off = here;
    }
    task = &work;
    state.store(kOffered, std::memory_order_release);
    state.notify_one();
  }
  /// Whether the worker had not begun: then it never will.
  bool take_back() {
    int offered = kOffered;
    return state.compare_exchange_strong(offered, kWaiting, std::memory_order_acq_rel);
  }
  bool begun() const { return state.load(std::memory_order_acquire) != kOffered; }

  Task* task = nullptr;
  std::atomic<int> state{kWaiting};
  std::thread::native_handle_type thread{};
  int kept_off = -1;  // a processor
  bool idle = true;   // guarded by Pool::mutex
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
      std::thread thread([w = worker.get()] { serve(*w); });
      worker->thread = thread.native_handle();
      thread.detach();
    } catch (const std::system_error&) {
      return false;  // the system has no more threads: the team is smaller
    }
    workers_.push_back(std::move(worker));
    return true;
  }

  [[noreturn]] static void serve(Worker& worker) {
    for (;;) {
      wait_for_change<int>(worker.state, Worker::kWaiting);
      int offered = Worker::kOffered;
      if (!worker.state.compare_exchange_strong(offered, Worker::kWorking, std::memory_order_acq_rel)) continue;
      worker.task->join();
      worker.state.store(Worker::kWaiting, std::memory_order_release);
      worker.state.notify_one();
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

/// Runs `body` on up to `max_size` threads. `gather`: the members are counted before any of them starts, those that
/// come within so long.
void run_task(int max_size, std::optional<std::chrono::microseconds> gather,
              const std::function<void(int, Team&)>& body) {
  const int wanted = std::min(max_size, num_threads()) - 1;
  std::vector<Worker*> lent;
  if (wanted > 0) {
    lent.reserve(static_cast<std::size_t>(wanted));
    pool().borrow(wanted, lent);
  }
  Task task(body);
  std::vector<Worker*> members = lent;
  // A worker that the system has not woken by then may take milliseconds: nobody waits for it.
  const auto dismiss_late = [&] { std::erase_if(members, [](Worker* worker) { return worker->take_back(); }); };
  if (!gather) task.begin(static_cast<int>(lent.size()) + 1);
  for (Worker* worker : lent) worker->offer(task);
  if (gather) {
    spin_until([&] { return std::all_of(lent.begin(), lent.end(), [](Worker* worker) { return worker->begun(); }); },
               *gather);
    dismiss_late();
    task.begin(static_cast<int>(members.size()) + 1);
  }
  task.run(0);
  if (!gather) dismiss_late();
  for (Worker* worker : members) wait_for_change<int>(worker->state, Worker::kWorking);
  if (!lent.empty()) pool().give_back(lent);
  if (task.error) std::rethrow_exception(task.error);
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
  wait_for_change(phase_, phase);
}

void run_team(int max_size, const std::function<void(int, Team&)>& body, std::chrono::microseconds patience) {
  run_task(max_size, patience, body);
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
  run_task(static_cast<int>(std::min<int64_t>(chunks, 4096)), std::nullopt, [&](int, Team&) {
    for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) {
      body(chunk * grain, std::min(count, (chunk + 1) * grain));
    }
  });
}

}  // namespace fastseq
