// Shares: every tile is taken once, whoever takes it, and a thread that is held up leaves its tiles to the others.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "check.h"
#include "subbyte/pool.h"
#include "subbyte/shares.h"

namespace {

struct Round {
    subbyte_pool* pool;
    std::vector<std::atomic<int>> taken;  // by tile
    std::vector<std::int32_t> tiles_of;   // by thread
    std::int32_t held_up = -1;            // the thread that sleeps over its first piece
    std::atomic<int> misplaced{0};        // pieces that are empty or beyond the tiles

    Round(subbyte_pool* of, std::int32_t tiles)
        : pool(of),
          taken(static_cast<std::size_t>(tiles)),
          tiles_of(static_cast<std::size_t>(subbyte_pool_threads(of))) {}
};

void take_all(void* argument, std::int32_t thread) {
    auto* round = static_cast<Round*>(argument);
    auto tiles = static_cast<std::int32_t>(round->taken.size());
    std::int32_t begin, end;
    bool first = true;
    while (subbyte_share_take(subbyte_pool_shares(round->pool, 1), thread, subbyte_pool_threads(round->pool), &begin,
                              &end)) {
        if (begin < 0 || begin >= end || end > tiles) {
            ++round->misplaced;
            continue;
        }
        for (std::int32_t tile = begin; tile < end; ++tile) ++round->taken[static_cast<std::size_t>(tile)];
        round->tiles_of[static_cast<std::size_t>(thread)] += end - begin;
        if (first && thread == round->held_up) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        first = false;
    }
}

void deal(subbyte_pool* pool, std::int32_t tiles) {
    std::int32_t threads = subbyte_pool_threads(pool);
    for (std::int32_t thread = 0; thread < threads; ++thread) {
        subbyte_share_deal(&subbyte_pool_shares(pool, 1)[thread], tiles, thread, threads);
    }
}

void test_every_tile_is_taken_once(std::int32_t threads) {
    subbyte_pool* pool = subbyte_pool_create(threads);
    CHECK(pool != nullptr);
    for (std::int32_t tiles : {0, 1, 2, threads - 1, threads, threads + 1, 7, 56, 1000, 50176}) {
        Round round(pool, tiles);
        deal(pool, tiles);
        CHECK(subbyte_pool_run(pool, take_all, &round) == 0);
        CHECK(round.misplaced == 0);
        for (auto& count : round.taken) CHECK(count == 1);
    }
    subbyte_pool_destroy(pool);
}

void test_a_thread_that_is_held_up_gets_help() {
    constexpr std::int32_t kTiles = 64;
    subbyte_pool* pool = subbyte_pool_create(2);
    Round round(pool, kTiles);
    round.held_up = 1;
    deal(pool, kTiles);
    CHECK(subbyte_pool_run(pool, take_all, &round) == 0);
    for (auto& count : round.taken) CHECK(count == 1);
    // Thread 1 takes at most half of its 32 tiles and sleeps; thread 0 does its own and the other half.
    CHECK(round.tiles_of[1] == 0 || round.tiles_of[0] >= kTiles / 2 + kTiles / 4);
    subbyte_pool_destroy(pool);
}

}  // namespace

int main() {
    for (std::int32_t threads : {1, 2, 3, 8}) test_every_tile_is_taken_once(threads);
    test_a_thread_that_is_held_up_gets_help();
    std::puts("shares: ok");
}
