/* Checks a model's description and runs its steps on a pool. C99 and C++; what the runner and the C++ runtime share. */
#ifndef SUBBYTE_EXECUTE_H
#define SUBBYTE_EXECUTE_H

#include "subbyte/pool.h"
#include "subbyte/subbyte_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whose fault a refusal is: the model's description is broken, or the model does not fit this runtime or processor. */
enum { SUBBYTE_CHECK_OK = 0, SUBBYTE_CHECK_BROKEN = 1, SUBBYTE_CHECK_MISFIT = 2 };

/* The ABI version, which is read before anything else, the size of the description, its fields, the digest (unless
 * `expected_digest` is null) and the processor's features. On refusal `message` says in a sentence what was found and
 * expected; `message_bytes` of 1280 suffice. */
int32_t subbyte_check_model(const subbyte_model* model, const char* expected_digest, char* message,
                            size_t message_bytes);

/* Bytes of one element of SUBBYTE_INT8 ...; 0 for a number that is no dtype. */
size_t subbyte_dtype_bytes(int32_t dtype);

/* arena_bytes and the scratch of `threads` threads, in one block aligned to subbyte_arena_align. The scratch is behind
 * the arena, at the arena's size rounded up to that alignment. */
size_t subbyte_arena_bytes(const subbyte_model* model, int32_t threads);
size_t subbyte_arena_align(const subbyte_model* model);

/* The context of an inference that works in `arena`, of subbyte_arena_bytes. */
subbyte_context subbyte_context_in(const subbyte_model* model, void* arena, const void* weights,
                                   const void* const* inputs, void* const* outputs);

/* How an inference ended: SUBBYTE_OK, or the code of the earliest step that refused. */
typedef struct subbyte_outcome {
    int32_t code;
    int32_t step;   /* of the refusal; else -1 */
    int32_t system; /* errno where the pool could not start its threads in a forked process; else 0 */
} subbyte_outcome;

/* One inference: every step in order, its tiles in contiguous ranges over the threads (shares.h), in the model's float
 * environment. Unless step_ns is null, it receives each step's wall time in nanoseconds. */
subbyte_outcome subbyte_execute(const subbyte_model* model, const subbyte_context* context, subbyte_pool* pool,
                                int64_t* step_ns);

/* Nanoseconds of a clock that only runs forward. */
int64_t subbyte_now_ns(void);

/* Sorts `samples` and returns the value below which `percent` of them lie (nearest rank); count > 0. */
int64_t subbyte_percentile(int64_t* samples, size_t count, int32_t percent);

/* SUBBYTE_ERROR_STEP -> "a step refused its operands"; for every code. */
const char* subbyte_error_text(int32_t code);

#ifdef __cplusplus
}
#endif

#endif
