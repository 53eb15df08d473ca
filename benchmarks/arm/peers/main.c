// Runs one tile of a peer's kernel between two calls of step_begins, on operands from files, and writes its sums.
//
//   main ACTIVATIONS WEIGHTS SUMS SUMS_BYTES DEPTH
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void peer(const void* activations, const void* weights, int32_t* sums, size_t depth);

__attribute__((noinline)) void step_begins(void) { __asm__ volatile(""); }

static void require(int holds, const char* complaint) {
    if (holds) return;
    fprintf(stderr, "peer: %s\n", complaint);
    exit(1);
}

static void* aligned(size_t bytes) {
    void* memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    require(memory != NULL, "no memory is left");
    return memory;
}

static void* content(const char* path) {
    FILE* file = fopen(path, "rb");
    require(file != NULL && fseek(file, 0, SEEK_END) == 0, "an operand cannot be opened");
    size_t bytes = (size_t)ftell(file);
    void* memory = aligned(bytes);
    rewind(file);
    require(fread(memory, 1, bytes, file) == bytes, "an operand cannot be read");
    fclose(file);
    return memory;
}

int main(int count, char** values) {
    require(count == 6, "five arguments are expected");
    void *activations = content(values[1]), *weights = content(values[2]);
    size_t bytes = strtoull(values[4], NULL, 10);
    int32_t* sums = aligned(bytes);
    step_begins();
    peer(activations, weights, sums, strtoull(values[5], NULL, 10));
    step_begins();
    FILE* file = fopen(values[3], "wb");
    require(file != NULL && fwrite(sums, 1, bytes, file) == bytes && fclose(file) == 0, "the sums cannot be written");
    return 0;
}
