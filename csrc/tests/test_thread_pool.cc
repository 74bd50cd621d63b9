#include "runtime/thread_pool.h"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "testing.h"

using namespace fastseq;

namespace {

/// Sets the number of threads for one test.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  const int before_;
};

}  // namespace

TEST(parallel_for_covers_every_index_once) {
  for (const int threads : {1, 2, 7}) {
    const Threads scope(threads);
    for (const int64_t count : {0, 1, 2, 9, 1000}) {
      for (const int64_t grain : {0, 1, 3, 999, 5000}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
        parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          CHECK(begin < end);
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        for (const auto& visit : visits) CHECK_EQ(visit.load(), 1);
      }
    }
  }
}

TEST(a_team_has_distinct_ranks_and_no_more_than_asked_for) {
  for (const int threads : {1, 3, 6}) {
    const Threads scope(threads);
    for (const int wanted : {1, 2, 4, 100}) {
      std::vector<std::atomic<int>> seen(100);
      std::atomic<int> size{0};
      run_team(wanted, [&](int rank, Team& team) {
        ++seen[static_cast<std::size_t>(rank)];
        size = team.size();
      });
      CHECK(size >= 1 && size <= wanted && size <= threads);
      for (int rank = 0; rank < 100; ++rank) CHECK_EQ(seen[static_cast<std::size_t>(rank)].load(), rank < size ? 1 : 0);
    }
  }
}

TEST(members_meet_at_every_barrier) {
  const Threads scope(4);
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::atomic<int> sum{0};
    run_team(4, [&](int, Team& team) {
      for (int step = 1; step <= 40; ++step) {
        ++sum;
        team.barrier();
        CHECK_EQ(sum.load(), step * team.size());
        team.barrier();
      }
    });
  }
}

TEST(the_caller_is_rank_zero) {
  const Threads scope(3);
  const auto caller = std::this_thread::get_id();
  run_team(3, [&](int rank, Team&) { CHECK_EQ(std::this_thread::get_id() == caller, rank == 0); });
}

TEST(teams_nest_without_waiting_for_each_other) {
  const Threads scope(4);
  std::atomic<int64_t> sum{0};
  parallel_for(20, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(30, 1, [&](int64_t b, int64_t e) { sum += (e - b) * (i + 1); });
    }
  });
  CHECK_EQ(sum.load(), 30 * 210);
}

TEST(many_threads_may_compute_at_once) {
  const Threads scope(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 100; ++repeat) {
        parallel_for(10, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
        run_team(2, [&](int, Team& team) {
          team.barrier();
          team.barrier();
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(sum.load(), 6 * 100 * 10);
}

TEST(an_exception_of_any_member_reaches_the_caller) {
  for (const int threads : {1, 2, 5}) {
    const Threads scope(threads);
    for (const int64_t bad : {0, 3, 9}) {
      CHECK_THROWS(std::out_of_range, parallel_for(10, 1, [&](int64_t begin, int64_t end) {
                     if (begin <= bad && bad < end) throw std::out_of_range("bad");
                   }));
    }
    // The pool is as good as before.
    std::atomic<int64_t> sum{0};
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    CHECK_EQ(sum.load(), 100);
  }
}

TEST(the_number_of_threads_can_be_set_and_is_checked) {
  const Threads scope(2);
  CHECK_EQ(num_threads(), 2);
  for (const int bad : {0, -1, 4097}) CHECK_THROWS(std::invalid_argument, set_num_threads(bad));
  CHECK_EQ(num_threads(), 2);
  set_num_threads(4096);
  CHECK_EQ(num_threads(), 4096);
}
