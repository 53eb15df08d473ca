/* Calls a compiled model again and again and prints how many allocations that made: linked with --wrap for each. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subbyte/execute.h"

enum { CALLS = 1000, MOST = 16 };

static long allocations;

void* __real_malloc(size_t bytes);
void* __real_calloc(size_t count, size_t bytes);
void* __real_realloc(void* memory, size_t bytes);
int __real_posix_memalign(void** memory, size_t align, size_t bytes);

void* __wrap_malloc(size_t bytes) { return ++allocations, __real_malloc(bytes); }
void* __wrap_calloc(size_t count, size_t bytes) { return ++allocations, __real_calloc(count, bytes); }
void* __wrap_realloc(void* memory, size_t bytes) { return ++allocations, __real_realloc(memory, bytes); }
int __wrap_posix_memalign(void** memory, size_t align, size_t bytes) {
    return ++allocations, __real_posix_memalign(memory, align, bytes);
}

static void* memory_of(size_t bytes) {
    void* memory = NULL;
    if (posix_memalign(&memory, 64, bytes > 0 ? bytes : 64) != 0) exit(2);
    return memset(memory, 0, bytes);
}

/* count_allocations THREADS: CALLS inferences and as many with the times of the steps. */
int main(int count, char** values) {
    const subbyte_model* model = subbyte_model_get();
    int32_t threads = count > 1 ? atoi(values[1]) : 1;
    subbyte_pool* pool = subbyte_pool_create(threads);
    int64_t* step_ns = memory_of((size_t)model->step_count * sizeof step_ns[0]);
    const void* inputs[MOST];
    void* outputs[MOST];
    subbyte_context context;
    long before;
    if (pool == NULL || model->input_count > MOST || model->output_count > MOST) return 2;
    for (int32_t i = 0; i < model->input_count; ++i) inputs[i] = memory_of(model->inputs[i].bytes);
    for (int32_t i = 0; i < model->output_count; ++i) outputs[i] = memory_of(model->outputs[i].bytes);
    context = subbyte_context_in(model, memory_of(subbyte_arena_bytes(model, threads)), NULL, inputs, outputs);
    before = allocations;
    for (int call = 0; call < CALLS; ++call) {
        if (subbyte_execute(model, &context, pool, NULL).code != SUBBYTE_OK) return 2;
        if (subbyte_execute(model, &context, pool, step_ns).code != SUBBYTE_OK) return 2;
    }
    printf("%ld before, %ld in %d calls\n", before, allocations - before, 2 * CALLS);
    subbyte_pool_destroy(pool);
    return 0;
}
