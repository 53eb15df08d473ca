/* A pool of persistent threads in which the calling thread works too. C99 (POSIX threads) and C++.
 *
 * One call of subbyte_pool_run is one parallel region: every thread runs the same function once and meets the others at
 * barriers, so a model of many steps costs one start and one barrier a step. Threads that wait spin for some tens of
 * microseconds, then sleep; where there are fewer processors than threads they sleep at once. */
#ifndef SUBBYTE_POOL_H
#define SUBBYTE_POOL_H

#include <stdint.h>

#include "subbyte/shares.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBBYTE_MAX_THREADS 1024

typedef struct subbyte_pool subbyte_pool;

typedef void (*subbyte_pool_work)(void* argument, int32_t thread);

/* A pool of `threads` threads, the caller of subbyte_pool_run among them. With 1 no thread is started. Null, with
 * errno set, where `threads` is not in 1..SUBBYTE_MAX_THREADS or the system refuses a thread. */
subbyte_pool* subbyte_pool_create(int32_t threads);

void subbyte_pool_destroy(subbyte_pool* pool);

int32_t subbyte_pool_threads(const subbyte_pool* pool);

/* Shares of every thread, [threads], for the use of `work`: set 0 or set 1. */
subbyte_share* subbyte_pool_shares(subbyte_pool* pool, int32_t set);

/* Runs work(argument, t) for t = 0 .. threads-1 at once, t = 0 in the calling thread, and returns 0 when all are done.
 * One caller at a time. In a child process of fork() the threads are started anew; the errno of that where it fails. */
int32_t subbyte_pool_run(subbyte_pool* pool, subbyte_pool_work work, void* argument);

/* Within `work`: returns when every thread has come here; what they wrote before is then visible to all. */
void subbyte_pool_barrier(subbyte_pool* pool);

#ifdef __cplusplus
}
#endif

#endif
