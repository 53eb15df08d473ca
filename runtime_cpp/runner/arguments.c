#include "arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "subbyte/pool.h"

const char USAGE[] =
    "runner: runs the compiled model that is linked into it and prints its timings as JSON.\n"
    "\n"
    "  --inputs FILE...   raw row-major data of each input, in the model's order, of one sample or of several in a "
    "row\n"
    "  --outputs FILE...  where to write the raw data of each output, sample after sample\n"
    "  --random SEED      random codes for inputs instead of zeros, where no files are given\n"
    "  --weights FILE     weights.bin of a model that keeps its weights in a file\n"
    "  --digest DIGEST    refuse to run if the model has another digest than this, from its manifest.json\n"
    "  --threads N        threads, the main one included (1)\n"
    "  --repeats N        timed runs of each sample (1)\n"
    "  --warmup N         runs before the first timed one (0)\n"
    "  --profile          time each step too, in as many runs again on the last sample\n"
    "  --times            list the time of every run too, the shortest first\n"
    "\n"
    "It exits with 0, with 1 where the model or a file is not right, with 2 where the command line is not.\n";

static int is_option(const char* text) { return text[0] == '-' && text[1] == '-'; }

/* The files behind an option, up to the next option. */
static char** files_at(char** values, int count, int* at, int* found) {
    char** first = values + *at + 1;
    *found = 0;
    while (*at + 1 < count && !is_option(values[*at + 1])) {
        ++*at;
        ++*found;
    }
    return first;
}

/* A whole number in low..high; 0, or -1 where `text` is none. */
static int parse_number(const char* text, uint64_t low, uint64_t high, uint64_t* number) {
    char* end;
    errno = 0;
    if (text[0] < '0' || text[0] > '9') return -1;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number >= low && *number <= high ? 0 : -1;
}

int parse_arguments(int count, char** values, struct arguments* arguments, const char** complaint,
                    const char** culprit) {
    memset(arguments, 0, sizeof *arguments);
    arguments->threads = 1;
    arguments->repeats = 1;
    for (int i = 1; i < count; ++i) {
        const char* option = values[i];
        const char* value = i + 1 < count && !is_option(values[i + 1]) ? values[i + 1] : NULL;
        uint64_t number = 0;
        *culprit = option;
        if (strcmp(option, "--help") == 0) {
            arguments->help = 1;
        } else if (strcmp(option, "--profile") == 0) {
            arguments->profile = 1;
        } else if (strcmp(option, "--times") == 0) {
            arguments->times = 1;
        } else if (strcmp(option, "--inputs") == 0) {
            arguments->inputs = files_at(values, count, &i, &arguments->input_count);
        } else if (strcmp(option, "--outputs") == 0) {
            arguments->outputs = files_at(values, count, &i, &arguments->output_count);
        } else if (strcmp(option, "--weights") == 0 || strcmp(option, "--digest") == 0) {
            *complaint = "needs a value behind it";
            if (value == NULL) return -1;
            *(option[2] == 'w' ? &arguments->weights : &arguments->digest) = value;
            ++i;
        } else if (strcmp(option, "--random") == 0) {
            *complaint = "needs a seed, a whole number, behind it";
            if (value == NULL || parse_number(value, 0, UINT64_MAX, &arguments->seed) != 0) return -1;
            arguments->random = 1;
            ++i;
        } else if (strcmp(option, "--threads") == 0) {
            *complaint = "needs a number from 1 to 1024 behind it";
            if (value == NULL || parse_number(value, 1, SUBBYTE_MAX_THREADS, &number) != 0) return -1;
            arguments->threads = (int32_t)number;
            ++i;
        } else if (strcmp(option, "--repeats") == 0 || strcmp(option, "--warmup") == 0) {
            uint64_t low = option[2] == 'r' ? 1 : 0;
            *complaint = "needs a number behind it: of --repeats 1 or more, of --warmup 0 or more";
            if (value == NULL || parse_number(value, low, INT32_MAX, &number) != 0) return -1;
            *(option[2] == 'r' ? &arguments->repeats : &arguments->warmup) = (int32_t)number;
            ++i;
        } else {
            *complaint = "is not an option of the runner; --help lists them";
            return -1;
        }
    }
    *culprit = "--random";
    *complaint = "and --inputs exclude each other";
    return arguments->random && arguments->input_count > 0 ? -1 : 0;
}
