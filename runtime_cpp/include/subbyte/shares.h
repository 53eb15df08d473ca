/* The tiles of a step dealt out to threads: each begins with a share of its own, and who is done helps the others.
 *
 * A thread that is slower, because its processor does other things too, thus ends with fewer tiles. Pieces become smaller
 * as a share is used up, so that the threads end at about the same time. C99 and C++. */
#ifndef SUBBYTE_SHARES_H
#define SUBBYTE_SHARES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is left of one thread's tiles: next <= tile < end. A cache line of its own. */
typedef struct subbyte_share {
    int32_t next;
    int32_t end;
    int32_t unused[14];
} subbyte_share;

/* The share of `thread` in `tiles` tiles: contiguous, of equal length but for the first tiles % threads, one longer.
 * Nobody may take from it meanwhile, and takers must be ordered behind this by a barrier. */
void subbyte_share_deal(subbyte_share* share, int32_t tiles, int32_t thread, int32_t threads);

/* Takes begin <= tile < end out of the shares, [threads], of `thread` itself as long as there are any: 1, or 0 where no
 * tiles are left anywhere. */
int32_t subbyte_share_take(subbyte_share* shares, int32_t thread, int32_t threads, int32_t* begin, int32_t* end);

#ifdef __cplusplus
}
#endif

#endif
