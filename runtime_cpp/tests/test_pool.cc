// The pool: every thread works once a run, barriers hold, sleeping threads wake, children of fork() get threads.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "check.h"
#include "subbyte/pool.h"

namespace {

constexpr int kRounds = 50;

struct Rounds {
    subbyte_pool* pool;
    std::vector<int> values;  // one of each thread, written without atomics: the barrier must make them visible
    std::atomic<int> wrong{0};
};

// In each round every thread raises its own value, waits, and must then see all values raised.
void raise_and_look(void* argument, std::int32_t thread) {
    auto* rounds = static_cast<Rounds*>(argument);
    for (int round = 1; round <= kRounds; ++round) {
        rounds->values[static_cast<std::size_t>(thread)] += 1;
        subbyte_pool_barrier(rounds->pool);
        for (int value : rounds->values) rounds->wrong += value % kRounds != round % kRounds;
        subbyte_pool_barrier(rounds->pool);
    }
}

void test_barriers(std::int32_t threads) {
    Rounds rounds{subbyte_pool_create(threads), std::vector<int>(static_cast<std::size_t>(threads))};
    CHECK(rounds.pool != nullptr);
    CHECK(subbyte_pool_threads(rounds.pool) == threads);
    for (int run = 1; run <= 20; ++run) {
        CHECK(subbyte_pool_run(rounds.pool, raise_and_look, &rounds) == 0);
        for (int value : rounds.values) CHECK(value == run * kRounds);
    }
    CHECK(rounds.wrong == 0);
    subbyte_pool_destroy(rounds.pool);
}

void count(void* argument, std::int32_t) { *static_cast<std::atomic<int>*>(argument) += 1; }

void test_wakes_from_sleep() {
    subbyte_pool* pool = subbyte_pool_create(3);
    std::atomic<int> counted{0};
    for (int run = 1; run <= 10; ++run) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));  // far beyond the time that threads spin
        CHECK(subbyte_pool_run(pool, count, &counted) == 0);
        CHECK(counted == 3 * run);
    }
    subbyte_pool_destroy(pool);
}

#if !defined(__SANITIZE_THREAD__)  // it does not allow new threads in the child of a process that had several
void test_forked_child_has_threads() {
    subbyte_pool* pool = subbyte_pool_create(3);
    std::atomic<int> counted{0};
    CHECK(subbyte_pool_run(pool, count, &counted) == 0);
    pid_t child = fork();
    if (child == 0) {
        int failed = subbyte_pool_run(pool, count, &counted) != 0 || counted != 6;
        subbyte_pool_destroy(pool);
        _exit(failed);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    subbyte_pool_destroy(pool);
}
#endif

void test_refuses_other_numbers_of_threads() {
    for (std::int32_t threads : {-1, 0, SUBBYTE_MAX_THREADS + 1}) {
        errno = 0;
        CHECK(subbyte_pool_create(threads) == nullptr && errno == EINVAL);
    }
    subbyte_pool_destroy(nullptr);
}

}  // namespace

int main() {
    for (std::int32_t threads : {1, 2, 3, 5, 8}) test_barriers(threads);
    test_wakes_from_sleep();
    test_refuses_other_numbers_of_threads();
#if !defined(__SANITIZE_THREAD__)
    test_forked_child_has_threads();
#endif
    std::puts("pool: ok");
}
