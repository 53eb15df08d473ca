#define _POSIX_C_SOURCE 200809L /* posix_memalign */

#include "tensors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_ALIGN = 64 };

void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("runner: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void* allocate(size_t bytes, size_t align) {
    void* memory = NULL;
    if (posix_memalign(&memory, align, bytes > 0 ? bytes : align) != 0) fail("there are no %zu bytes of memory", bytes);
    memset(memory, 0, bytes);
    return memory;
}

static long long file_bytes(FILE* file, const char* path) {
    long found;
    if (fseek(file, 0, SEEK_END) != 0 || (found = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        fail("the size of '%s' cannot be read: %s", path, strerror(errno));
    }
    return found;
}

static void read_bytes(FILE* file, const char* path, void* buffer, size_t bytes) {
    if (fread(buffer, 1, bytes, file) != bytes) fail("'%s' cannot be read to its end", path);
}

static FILE* open_file(const char* path, const char* mode) {
    FILE* file = fopen(path, mode);
    if (file == NULL) fail("'%s' cannot be opened: %s", path, strerror(errno));
    return file;
}

void* read_file(const char* path, size_t bytes) {
    FILE* file = open_file(path, "rb");
    long long found = file_bytes(file, path);
    void* content = allocate(bytes, BUFFER_ALIGN);
    if (found != (long long)bytes) fail("'%s' has %lld bytes; the model has %zu bytes of weights", path, found, bytes);
    read_bytes(file, path, content, bytes);
    fclose(file);
    return content;
}

struct tensors open_tensors(const char* role, const subbyte_tensor* described, int32_t count, char** paths,
                            int path_count, const char* mode) {
    struct tensors tensors = {described, count, NULL, NULL, paths};
    if (path_count != 0 && path_count != count) {
        fail("%d %s files are given; the model has %d %ss", path_count, role, (int)count, role);
    }
    tensors.buffers = allocate((size_t)count * sizeof tensors.buffers[0], BUFFER_ALIGN);
    tensors.files = allocate((size_t)count * sizeof tensors.files[0], BUFFER_ALIGN);
    for (int32_t i = 0; i < count; ++i) {
        tensors.buffers[i] = allocate(described[i].bytes, BUFFER_ALIGN);
        if (path_count > 0) tensors.files[i] = open_file(paths[i], mode);
    }
    return tensors;
}

size_t count_samples(struct tensors* inputs) {
    long long samples = 0;
    for (int32_t i = 0; i < inputs->count; ++i) {
        const subbyte_tensor* input = &inputs->described[i];
        long long bytes = (long long)input->bytes, found;
        if (inputs->files[i] == NULL) continue;
        found = file_bytes(inputs->files[i], inputs->paths[i]);
        if (bytes == 0 ? found != 0 : (found == 0 || found % bytes != 0)) {
            fail("'%s' has %lld bytes; input '%s' takes %lld for each sample", inputs->paths[i], found, input->name,
                 bytes);
        }
        if (bytes == 0) continue;
        if (samples != 0 && found / bytes != samples) {
            fail("'%s' holds %lld samples of input '%s'; the files before hold %lld", inputs->paths[i], found / bytes,
                 input->name, samples);
        }
        samples = found / bytes;
    }
    return samples > 0 ? (size_t)samples : 1;
}

void read_sample(struct tensors* inputs) {
    for (int32_t i = 0; i < inputs->count; ++i) {
        if (inputs->files[i] == NULL) continue;
        read_bytes(inputs->files[i], inputs->paths[i], inputs->buffers[i], inputs->described[i].bytes);
    }
}

void write_sample(struct tensors* outputs) {
    for (int32_t i = 0; i < outputs->count; ++i) {
        size_t bytes = outputs->described[i].bytes;
        if (outputs->files[i] != NULL && fwrite(outputs->buffers[i], 1, bytes, outputs->files[i]) != bytes) {
            fail("'%s' cannot be written: %s", outputs->paths[i], strerror(errno));
        }
    }
}

void close_tensors(struct tensors* tensors) {
    for (int32_t i = 0; i < tensors->count; ++i) {
        if (tensors->files[i] != NULL && fclose(tensors->files[i]) != 0) {
            fail("'%s' cannot be written: %s", tensors->paths[i], strerror(errno));
        }
        free(tensors->buffers[i]);
    }
    free(tensors->files);
    free(tensors->buffers);
}

/* SplitMix64.  Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(uint64_t* state) {
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* A random code of "int4", "uint8", "bipolar", "ternary" or "bool". */
static int64_t random_code(const char* code, uint64_t* state) {
    uint64_t drawn = next_random(state);
    int is_signed = strncmp(code, "int", 3) == 0;
    long bits;
    if (strcmp(code, "bool") == 0) return (int64_t)(drawn >> 63);
    if (strcmp(code, "bipolar") == 0) return (drawn >> 63) ? 1 : -1;
    if (strcmp(code, "ternary") == 0) return (int64_t)(drawn % 3) - 1;
    bits = strtol(code + (is_signed ? 3 : 4), NULL, 10);
    if (bits < 1 || bits > 64) fail("the element type '%s' of an input is not known to the runner", code);
    drawn >>= 64 - bits;
    return is_signed && bits < 64 ? (int64_t)drawn - ((int64_t)1 << (bits - 1)) : (int64_t)drawn;
}

static void store_random(const subbyte_tensor* tensor, void* buffer, size_t index, uint64_t* state) {
    switch (tensor->dtype) {
        case SUBBYTE_FLOAT16: /* bits of a float16 below 1, with a sign */
            ((uint16_t*)buffer)[index] = (uint16_t)(next_random(state) % 0x3c00u | (next_random(state) & 0x8000u));
            break;
        case SUBBYTE_FLOAT32:
            ((float*)buffer)[index] = (float)(next_random(state) >> 40) * 0x1p-23f - 1.0f;
            break;
        case SUBBYTE_FLOAT64:
            ((double*)buffer)[index] = (double)(next_random(state) >> 11) * 0x1p-52 - 1.0;
            break;
        case SUBBYTE_BOOL:
        case SUBBYTE_INT8:
        case SUBBYTE_UINT8:
            ((uint8_t*)buffer)[index] = (uint8_t)random_code(tensor->code, state);
            break;
        case SUBBYTE_INT16:
        case SUBBYTE_UINT16:
            ((uint16_t*)buffer)[index] = (uint16_t)random_code(tensor->code, state);
            break;
        case SUBBYTE_INT32:
        case SUBBYTE_UINT32:
            ((uint32_t*)buffer)[index] = (uint32_t)random_code(tensor->code, state);
            break;
        default: /* the 64-bit integers: subbyte_check_model let no other number through */
            ((uint64_t*)buffer)[index] = (uint64_t)random_code(tensor->code, state);
    }
}

void fill_randomly(struct tensors* inputs, uint64_t seed) {
    for (int32_t i = 0; i < inputs->count; ++i) {
        const subbyte_tensor* input = &inputs->described[i];
        size_t elements = 1;
        for (int32_t axis = 0; axis < input->rank; ++axis) elements *= (size_t)input->shape[axis];
        for (size_t index = 0; index < elements; ++index) store_random(input, inputs->buffers[i], index, &seed);
    }
}
