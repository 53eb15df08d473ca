/* The command line of the runner. */
#ifndef SUBBYTE_RUNNER_ARGUMENTS_H
#define SUBBYTE_RUNNER_ARGUMENTS_H

#include <stdint.h>

struct arguments {
    char** inputs; /* input_count files, in the order of the model's inputs; none stands for zeros or random codes */
    int input_count;
    char** outputs; /* output_count files; none throws the outputs away */
    int output_count;
    const char* weights; /* null without */
    const char* digest;  /* null without */
    int random;
    uint64_t seed;
    int32_t threads;
    int32_t repeats;
    int32_t warmup;
    int profile;
    int times;
    int help;
};

/* 0, or -1 with `*complaint` set to a sentence that names the argument `*culprit`. */
int parse_arguments(int count, char** values, struct arguments* arguments, const char** complaint,
                    const char** culprit);

extern const char USAGE[];

#endif
