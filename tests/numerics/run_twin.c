// Calls functions of harness.c for tests that run on another processor, one after the other, until its input ends.
//
// Input: the name of the function (32 bytes) and the number of its arguments (int64); for each its size in bytes (int64, -1
// for a number), then the number (int64) or the bytes of the array. Output: the bytes of every array as the function left
// them. PROTOTYPES is a file of `CALL(name, argument...)` lines, one for each function, in which ARRAY(i) and NUMBER(i)
// stand for the arguments.

#include <stdio.h>
#include <stdlib.h>

#include "harness.c"

enum { MOST = 16, NAME = 32 };
static struct {
    int64_t size, number;
    void* array;
} arguments[MOST];

#define ARRAY(I) arguments[I].array
#define NUMBER(I) arguments[I].number
#define CALL(FUNCTION, ...)             \
    if (strcmp(name, #FUNCTION) == 0) { \
        FUNCTION(__VA_ARGS__);          \
        return 1;                       \
    }

static int call(const char* name) {
#include PROTOTYPES
    return 0;
}

static void give_up(const char* text) {
    fprintf(stderr, "run_twin: %s\n", text);
    exit(2);
}

static void receive(void* to, size_t size) {
    if (size && fread(to, size, 1, stdin) != 1) give_up("the input ends early");
}

int main(void) {
    char name[NAME];
    while (fread(name, NAME, 1, stdin) == 1) {
        int64_t count;
        receive(&count, sizeof count);
        if (count > MOST || memchr(name, 0, NAME) == NULL) give_up("too many arguments, or too long a name");
        for (int64_t i = 0; i < count; i++) {
            receive(&arguments[i].size, sizeof arguments[i].size);
            if (arguments[i].size < 0) {
                receive(&arguments[i].number, sizeof arguments[i].number);
                continue;
            }
            arguments[i].array = malloc((size_t)arguments[i].size + 1);
            if (!arguments[i].array) give_up("there is no memory left");
            receive(arguments[i].array, (size_t)arguments[i].size);
        }
        if (!call(name)) give_up("there is no such function");
        for (int64_t i = 0; i < count; i++) {
            if (arguments[i].size < 0) continue;
            fwrite(arguments[i].array, 1, (size_t)arguments[i].size, stdout);
            free(arguments[i].array);
        }
        if (fflush(stdout)) give_up("the answer cannot be written");
    }
    return 0;
}
