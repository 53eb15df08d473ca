#include "subbyte/shares.h"

static int32_t first_tile(int32_t tiles, int32_t thread, int32_t threads) {
    int32_t longer = tiles % threads;
    return tiles / threads * thread + (thread < longer ? thread : longer);
}

void subbyte_share_deal(subbyte_share* share, int32_t tiles, int32_t thread, int32_t threads) {
    __atomic_store_n(&share->next, first_tile(tiles, thread, threads), __ATOMIC_RELAXED);
    share->end = first_tile(tiles, thread + 1, threads);
}

/* Half of what is left. `next` passes `end` by no more than what every thread adds once, so it does not overflow where
 * tiles stay below 2^31 / (threads + 1). */
static int32_t take_from(subbyte_share* share, int32_t* begin, int32_t* end) {
    int32_t last = share->end, left = last - __atomic_load_n(&share->next, __ATOMIC_RELAXED);
    int32_t piece = left > 1 ? left / 2 : 1;
    if (left <= 0) return 0;
    *begin = __atomic_fetch_add(&share->next, piece, __ATOMIC_RELAXED);
    *end = *begin + piece < last ? *begin + piece : last;
    return *begin < last;
}

int32_t subbyte_share_take(subbyte_share* shares, int32_t thread, int32_t threads, int32_t* begin, int32_t* end) {
    for (int32_t i = 0; i < threads; ++i) {
        int32_t owner = thread + i < threads ? thread + i : thread + i - threads;
        if (take_from(&shares[owner], begin, end)) return 1;
    }
    return 0;
}
