#define _GNU_SOURCE /* sched_getaffinity */

#include "subbyte/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

enum {
    CACHE_LINE = 64,
    SPINS = 1500,            /* 20 to 60 us: longer than most steps differ between threads, shorter than a time slice */
    STACK_BYTES = 256 * 1024 /* musl's default of 128 KiB is tight for kernels that keep a tile on the stack */
};

#define OWN_CACHE_LINE __attribute__((aligned(CACHE_LINE)))

/* An event that happens again and again: waiters sleep until `count` differs from what they saw. */
struct gate {
    OWN_CACHE_LINE uint32_t count;
    int32_t sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t opened;
};

struct worker {
    subbyte_pool* pool;
    int32_t thread;
    pthread_t handle;
};

struct subbyte_pool {
    struct gate start;              /* opens when there is work, or when the pool ends */
    struct gate barrier;            /* opens when the last thread arrives */
    OWN_CACHE_LINE int32_t arrived; /* at the barrier */
    OWN_CACHE_LINE int32_t threads;
    int32_t spins;
    int32_t stopping;
    pid_t process; /* that started the workers: fork() copies this struct, but not the threads */
    subbyte_pool_work work;
    void* argument;
    subbyte_share* shares;   /* [2][threads] */
    struct worker workers[]; /* threads - 1 */
};

static void relax_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
    __asm__ volatile("yield");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static void gate_init(struct gate* gate) {
    gate->count = 0;
    gate->sleepers = 0;
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->opened, NULL);
}

static void gate_destroy(struct gate* gate) {
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->mutex);
}

static void gate_wait(struct gate* gate, uint32_t seen, int32_t spins) {
    for (int32_t i = 0; i < spins; ++i) {
        if (__atomic_load_n(&gate->count, __ATOMIC_ACQUIRE) != seen) return;
        relax_cpu();
    }
    pthread_mutex_lock(&gate->mutex);
    /* gate_open raises `count`, then reads `sleepers`; here it is the other way round. Both orders are total (SEQ_CST),
     * so either this thread sees the new count or the opener sees this sleeper and wakes it under the mutex. */
    __atomic_fetch_add(&gate->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&gate->count, __ATOMIC_SEQ_CST) == seen) pthread_cond_wait(&gate->opened, &gate->mutex);
    __atomic_fetch_sub(&gate->sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&gate->mutex);
}

static void gate_open(struct gate* gate) {
    __atomic_fetch_add(&gate->count, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&gate->sleepers, __ATOMIC_SEQ_CST) > 0) {
        pthread_mutex_lock(&gate->mutex);
        pthread_cond_broadcast(&gate->opened);
        pthread_mutex_unlock(&gate->mutex);
    }
}

static int32_t usable_processors(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

static void* worker_main(void* argument) {
    struct worker* worker = argument;
    subbyte_pool* pool = worker->pool;
    for (uint32_t seen = 0;; ++seen) {
        gate_wait(&pool->start, seen, pool->spins);
        if (pool->stopping) return NULL;
        pool->work(pool->argument, worker->thread);
        subbyte_pool_barrier(pool);
    }
}

static void stop_workers(subbyte_pool* pool, int32_t started) {
    pool->stopping = 1;
    gate_open(&pool->start);
    for (int32_t i = 0; i < started; ++i) pthread_join(pool->workers[i].handle, NULL);
    gate_destroy(&pool->start);
    gate_destroy(&pool->barrier);
}

/* Starts the workers with all signals blocked: signals are for the threads of the program. 0 or an errno. */
static int start_workers(subbyte_pool* pool) {
    sigset_t all, previous;
    pthread_attr_t attributes;
    int32_t started = 0;
    int error = 0;
    gate_init(&pool->start);
    gate_init(&pool->barrier);
    pool->arrived = 0;
    pool->stopping = 0;
    pool->process = getpid();
    pool->spins = pool->threads <= usable_processors() ? SPINS : 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    while (error == 0 && started < pool->threads - 1) {
        struct worker* worker = &pool->workers[started];
        worker->pool = pool;
        worker->thread = started + 1;
        error = pthread_create(&worker->handle, &attributes, worker_main, worker);
        if (error == 0) ++started;
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        stop_workers(pool, started);
        pool->process = 0;
    }
    return error;
}

subbyte_pool* subbyte_pool_create(int32_t threads) {
    subbyte_pool* pool = NULL;
    int error = EINVAL;
    if (threads >= 1 && threads <= SUBBYTE_MAX_THREADS) {
        size_t workers = sizeof *pool + (size_t)(threads - 1) * sizeof pool->workers[0];
        size_t own = (workers + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
        size_t bytes = own + 2 * (size_t)threads * sizeof pool->shares[0];
        error = posix_memalign((void**)&pool, CACHE_LINE, bytes);
        if (error == 0) {
            memset(pool, 0, bytes);
            pool->threads = threads;
            pool->shares = (subbyte_share*)(void*)((unsigned char*)pool + own);
            if (threads > 1) error = start_workers(pool);
        }
    }
    if (error != 0) {
        free(pool);
        errno = error;
        return NULL;
    }
    return pool;
}

void subbyte_pool_destroy(subbyte_pool* pool) {
    if (pool == NULL) return;
    if (pool->threads > 1 && pool->process == getpid()) stop_workers(pool, pool->threads - 1);
    free(pool);
}

int32_t subbyte_pool_threads(const subbyte_pool* pool) { return pool->threads; }

subbyte_share* subbyte_pool_shares(subbyte_pool* pool, int32_t set) {
    return pool->shares + (size_t)set * (size_t)pool->threads;
}

int32_t subbyte_pool_run(subbyte_pool* pool, subbyte_pool_work work, void* argument) {
    if (pool->threads == 1) {
        work(argument, 0);
        return 0;
    }
    if (pool->process != getpid()) {
        int error = start_workers(pool);
        if (error != 0) return error;
    }
    pool->work = work;
    pool->argument = argument;
    gate_open(&pool->start);
    work(argument, 0);
    subbyte_pool_barrier(pool);
    return 0;
}

void subbyte_pool_barrier(subbyte_pool* pool) {
    uint32_t seen;
    if (pool->threads == 1) return;
    seen = __atomic_load_n(&pool->barrier.count, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&pool->arrived, 1, __ATOMIC_ACQ_REL) == pool->threads) {
        __atomic_store_n(&pool->arrived, 0, __ATOMIC_RELAXED);
        gate_open(&pool->barrier);
    } else {
        gate_wait(&pool->barrier, seen, pool->spins);
    }
}
