/* Inputs and outputs in memory, and their files. */
#ifndef SUBBYTE_RUNNER_TENSORS_H
#define SUBBYTE_RUNNER_TENSORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "subbyte/subbyte_model.h"

/* Tensors with a buffer each and, where they come from or go to one, a file each. */
struct tensors {
    const subbyte_tensor* described;
    int32_t count;
    void** buffers; /* count buffers, zero at first */
    FILE** files;   /* count files, null where there are none */
    char** paths;
};

/* All of these print a sentence to stderr and end the program with 1 where they cannot do it. */

/* `bytes` of zeros aligned to `align`; never null. */
void* allocate(size_t bytes, size_t align);

/* The whole of a file, which must have `bytes`, aligned to 64. */
void* read_file(const char* path, size_t bytes);

/* Tensors with the files at `paths`, opened in `mode`; path_count is 0 or `count`. */
struct tensors open_tensors(const char* role, const subbyte_tensor* described, int32_t count, char** paths,
                            int path_count, const char* mode);

/* How many samples each of the files holds: the same number in all, at least 1; 1 where there are no files. */
size_t count_samples(struct tensors* inputs);

void read_sample(struct tensors* inputs);
void write_sample(struct tensors* outputs);
void close_tensors(struct tensors* tensors);

/* Fills the buffers with random codes of each tensor's true element type; floats are from -1 to 1. */
void fill_randomly(struct tensors* inputs, uint64_t seed);

#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void fail(const char* format, ...);

#endif
