// Makes the calls that it reads from its standard input and writes what became of each to its standard output.
//
// It is linked with the functions `calls[]` of one library of kernels (harness.py, which writes and reads the format) and
// runs on the processor that those are for, or under its emulator. Memory is as hard as the contract allows: operands end
// at a page that cannot be read and are aligned to their element alone, constants and scratch begin at multiples of 64,
// results one element after such a multiple; scratch and results hold rubbish, with guards before and behind them.
//
// Input, all numbers int64 of this processor's byte order: for each call its function (-1: the end), its row of the
// function's tables, bytes of scratch, operands (number; bytes and content of each), constants (likewise), results
// (number; bytes and skew of each), pointers (number; kind and index of each) and runs: the operand in whose memory
// result 0 stands (-1: none), the operands that are that one (number; index of each), and the spans of tiles (number;
// begin and end of each).
// Output: for each run a fault (enum), a number that belongs to it, and the content of each result.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

typedef int32_t subbyte_call(void* const* pointers, int32_t row, int32_t begin, int32_t end, void* scratch);
extern subbyte_call* const calls[];

enum { MOST = 256, GUARD = 64, RUBBISH = 0xa5 };
enum kind { OPERAND, RESULT, CONSTANT };
enum fault { NONE, STATUS, BEYOND_RESULT, BEYOND_SCRATCH };

// Bytes that a kernel may touch: `size` of them, `skew` after a multiple of 64, guards on both sides.
struct memory {
    unsigned char* buffer;
    unsigned char* bytes;
    size_t size, capacity;
};

// Bytes that end where an unreadable page begins.
struct fenced {
    unsigned char* fence;
    unsigned char* bytes;
    size_t capacity;
};

static void give_up(const char* text) {
    fprintf(stderr, "driver: %s\n", text);
    exit(2);
}

static int64_t number(void) {
    int64_t value;
    if (fread(&value, sizeof value, 1, stdin) != 1) give_up("the input ends early");
    return value;
}

static size_t count(const char* of_what) {
    int64_t value = number();
    if (value < 0 || value > MOST) give_up(of_what);
    return (size_t)value;
}

static void content(unsigned char* bytes, size_t size) {
    if (size && fread(bytes, size, 1, stdin) != 1) give_up("the input ends within an array");
}

static void lay_out(struct memory* memory, size_t size, size_t skew) {
    size_t room = GUARD + 64 + skew + size + GUARD;
    if (memory->capacity < room) {
        free(memory->buffer);
        memory->buffer = malloc(room);
        memory->capacity = room;
        if (!memory->buffer) give_up("there is no memory left");
    }
    memset(memory->buffer, RUBBISH, room);
    memory->bytes = memory->buffer + GUARD;
    memory->bytes += (64 - (uintptr_t)memory->bytes % 64) % 64 + skew;
    memory->size = size;
}

static int overrun(const struct memory* memory) {
    for (size_t i = 1; i <= GUARD; i++) {
        if (memory->bytes[-(ptrdiff_t)i] != RUBBISH || memory->bytes[memory->size + i - 1] != RUBBISH) return 1;
    }
    return 0;
}

static void lay_fenced(struct fenced* fenced, size_t size) {
    if (!fenced->fence || fenced->capacity < size) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (size / page + 1) * page;
        unsigned char* map;
        if (fenced->fence) munmap(fenced->fence - fenced->capacity, fenced->capacity + page);
        map = mmap(NULL, inner + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect(map + inner, page, PROT_NONE)) give_up("a page cannot be fenced");
        fenced->fence = map + inner;
        fenced->capacity = inner;
    }
    fenced->bytes = fenced->fence - size;
}

static struct fenced operands[MOST];
static struct memory constants[MOST], results[MOST], scratch;
static struct {
    size_t size, skew;
} shapes[MOST];
static struct {
    enum kind kind;
    size_t index;
} pointers[MOST];
static size_t n_operands, n_constants, n_results, n_pointers, scratch_bytes;

static void read_call(void) {
    scratch_bytes = (size_t)number();
    n_operands = count("too many operands");
    for (size_t i = 0; i < n_operands; i++) {
        size_t size = (size_t)number();
        lay_fenced(&operands[i], size);
        content(operands[i].bytes, size);
    }
    n_constants = count("too many constants");
    for (size_t i = 0; i < n_constants; i++) {
        lay_out(&constants[i], (size_t)number(), 0);
        content(constants[i].bytes, constants[i].size);
    }
    n_results = count("too many results");
    for (size_t i = 0; i < n_results; i++) {
        shapes[i].size = (size_t)number();
        shapes[i].skew = (size_t)number();
    }
    n_pointers = count("too many pointers");
    for (size_t i = 0; i < n_pointers; i++) {
        pointers[i].kind = (enum kind)number();
        pointers[i].index = count("an index that is none");
    }
}

static void make_run(subbyte_call* call, int32_t row) {
    int64_t shared = number(), verdict[2] = {NONE, 0};
    void* operand[MOST];
    void* passed[MOST];
    for (size_t i = 0; i < n_operands; i++) operand[i] = operands[i].bytes;
    for (size_t i = 0; i < n_results; i++) lay_out(&results[i], shapes[i].size, shapes[i].skew);
    if (shared >= 0) memcpy(results[0].bytes, operands[shared].bytes, results[0].size);
    for (size_t left = count("too many operands in place"); left; left--) operand[number()] = results[0].bytes;
    for (size_t i = 0; i < n_pointers; i++) {
        size_t at = pointers[i].index;
        passed[i] = pointers[i].kind == OPERAND  ? operand[at]
                    : pointers[i].kind == RESULT ? (void*)results[at].bytes
                                                 : (void*)constants[at].bytes;
    }
    for (int64_t left = number(); left; left--) {
        int32_t begin = (int32_t)number(), end = (int32_t)number(), status;
        lay_out(&scratch, scratch_bytes, 0);
        status = call(passed, row, begin, end, scratch.bytes);
        if (verdict[0] == NONE && overrun(&scratch)) verdict[0] = BEYOND_SCRATCH;
        if (verdict[0] == NONE && status) verdict[0] = STATUS, verdict[1] = status;
    }
    for (size_t i = 0; i < n_results; i++) {
        if (verdict[0] == NONE && overrun(&results[i])) verdict[0] = BEYOND_RESULT, verdict[1] = (int64_t)i;
    }
    fwrite(verdict, sizeof verdict, 1, stdout);
    for (size_t i = 0; i < n_results; i++) fwrite(results[i].bytes, 1, results[i].size, stdout);
    if (fflush(stdout)) give_up("the answer cannot be written");
}

int main(void) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (int64_t function = number(); function >= 0; function = number()) {
        int32_t row = (int32_t)number();
        read_call();
        for (int64_t runs = number(); runs; runs--) make_run(calls[function], row);
    }
    return 0;
}
