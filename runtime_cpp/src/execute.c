#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "subbyte/execute.h"

#include <stdlib.h>
#include <time.h>

#include "subbyte/float_environment.h"

/* Nothing is refused yet. A refusal is step * 2^32 + the code's 32 bits, so the least one is the earliest step's. */
#define NO_REFUSAL INT64_MAX

/* What the threads of one inference share. */
struct inference {
    const subbyte_model* model;
    const subbyte_context* context;
    subbyte_pool* pool;
    int64_t* step_ns;
    __attribute__((aligned(8))) int64_t refusal; /* 32-bit processors need this for atomic access */
};

static void refuse(struct inference* inference, int32_t step, int32_t code) {
    int64_t found = ((int64_t)step << 32) | (uint32_t)code;
    int64_t known = __atomic_load_n(&inference->refusal, __ATOMIC_RELAXED);
    while (found < known &&
           !__atomic_compare_exchange_n(&inference->refusal, &known, found, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* Whether a step up to `step` was refused. All threads agree on this behind the barrier of `step`, also when a fast
 * thread has refused a later step by then. */
static int refused_up_to(struct inference* inference, int32_t step) {
    return __atomic_load_n(&inference->refusal, __ATOMIC_RELAXED) < (int64_t)(step + 1) << 32;
}

/* Between two steps that thread 0 does alone nobody needs to wait; when steps are timed, everybody does. */
static int barrier_after(const struct inference* inference, int32_t step) {
    const subbyte_step* steps = inference->model->steps;
    int last = step + 1 == inference->model->step_count;
    return inference->step_ns != NULL || (!last && (steps[step].tiles > 1 || steps[step + 1].tiles > 1));
}

/* The first step from `step` on that several threads share; step_count where there is none. */
static int32_t shared_step(const subbyte_model* model, int32_t step) {
    while (step < model->step_count && model->steps[step].tiles <= 1) ++step;
    return step;
}

/* Deals the share of `thread` in the first step from `step` on that is shared. */
static void deal(const struct inference* inference, int32_t step, int32_t thread, int32_t set) {
    const subbyte_model* model = inference->model;
    step = shared_step(model, step);
    if (step == model->step_count) return;
    subbyte_share_deal(&subbyte_pool_shares(inference->pool, set)[thread], model->steps[step].tiles, thread,
                       subbyte_pool_threads(inference->pool));
}

/* What `thread` does of a step; the code of the first piece that is refused. */
static int32_t run_step(const struct inference* inference, const subbyte_step* step, int32_t thread, int32_t set) {
    int32_t threads = subbyte_pool_threads(inference->pool), begin, end, code = SUBBYTE_OK;
    if (step->tiles <= 1 || threads == 1) {
        return thread == 0 && step->tiles > 0 ? step->run(inference->context, 0, step->tiles, 0) : SUBBYTE_OK;
    }
    while (code == SUBBYTE_OK &&
           subbyte_share_take(subbyte_pool_shares(inference->pool, set), thread, threads, &begin, &end)) {
        code = step->run(inference->context, begin, end, thread);
    }
    return code;
}

/* Sets of shares alternate from one shared step to the next. A thread deals its share in the next one before the barrier
 * behind this one: by then nobody takes from the other set any more, and behind the barrier everybody sees it. */
static void run_steps(void* argument, int32_t thread) {
    struct inference* inference = argument;
    const subbyte_model* model = inference->model;
    int32_t threads = subbyte_pool_threads(inference->pool), set = 0, code = SUBBYTE_OK;
    subbyte_float_environment saved = subbyte_float_environment_enter();
    int64_t then = inference->step_ns != NULL && thread == 0 ? subbyte_now_ns() : 0;
    for (int32_t i = 0; i < model->step_count; ++i) {
        if (code == SUBBYTE_OK) {
            code = run_step(inference, &model->steps[i], thread, set);
            if (code != SUBBYTE_OK) refuse(inference, i, code);
        }
        if (threads > 1 && model->steps[i].tiles > 1) {
            set = 1 - set;
            deal(inference, i + 1, thread, set);
        }
        if (barrier_after(inference, i)) {
            subbyte_pool_barrier(inference->pool);
            if (inference->step_ns != NULL && thread == 0) {
                int64_t now = subbyte_now_ns();
                inference->step_ns[i] = now - then;
                then = now;
            }
            if (refused_up_to(inference, i)) break;
        }
    }
    subbyte_float_environment_leave(saved);
}

subbyte_outcome subbyte_execute(const subbyte_model* model, const subbyte_context* context, subbyte_pool* pool,
                                int64_t* step_ns) {
    struct inference inference = {model, context, pool, step_ns, NO_REFUSAL};
    subbyte_outcome outcome = {SUBBYTE_OK, -1, 0};
    int32_t threads = subbyte_pool_threads(pool);
    for (int32_t thread = 0; threads > 1 && thread < threads; ++thread) deal(&inference, 0, thread, 0);
    outcome.system = subbyte_pool_run(pool, run_steps, &inference);
    if (inference.refusal != NO_REFUSAL) {
        outcome.code = (int32_t)(uint32_t)(inference.refusal & 0xffffffff);
        outcome.step = (int32_t)(inference.refusal >> 32);
    }
    return outcome;
}

static size_t round_up(size_t bytes, size_t align) { return (bytes + align - 1) / align * align; }

size_t subbyte_arena_align(const subbyte_model* model) { return model->arena_align < 64 ? 64 : model->arena_align; }

size_t subbyte_arena_bytes(const subbyte_model* model, int32_t threads) {
    return round_up(model->arena_bytes, subbyte_arena_align(model)) + (size_t)threads * model->scratch_bytes;
}

subbyte_context subbyte_context_in(const subbyte_model* model, void* arena, const void* weights,
                                   const void* const* inputs, void* const* outputs) {
    subbyte_context context;
    context.inputs = inputs;
    context.outputs = outputs;
    context.arena = arena;
    context.weights = weights;
    context.scratch = (unsigned char*)arena + round_up(model->arena_bytes, subbyte_arena_align(model));
    return context;
}

int64_t subbyte_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int ascending(const void* a, const void* b) {
    int64_t left = *(const int64_t*)a, right = *(const int64_t*)b;
    return (left > right) - (left < right);
}

int64_t subbyte_percentile(int64_t* samples, size_t count, int32_t percent) {
    size_t rank;
    qsort(samples, count, sizeof samples[0], ascending);
    rank = (count * (size_t)percent + 99) / 100;
    return samples[rank > 0 ? rank - 1 : 0];
}

const char* subbyte_error_text(int32_t code) {
    switch (code) {
        case SUBBYTE_OK:
            return "no error";
        case SUBBYTE_ERROR_NULL:
            return "an input, an output, the arena or the weights are a null pointer";
        case SUBBYTE_ERROR_ALIGNMENT:
            return "the arena or the weights are not aligned as the model says";
        case SUBBYTE_ERROR_FLOAT_ENVIRONMENT:
            return "the float environment does not round to nearest even, or flushes subnormals";
        case SUBBYTE_ERROR_STEP:
            return "a step refused its operands";
        default:
            return "an error that this runtime does not know";
    }
}
