#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "subbyte/cpu_features.h"
#include "subbyte/execute.h"
#include "tensors.h"

static void print_text(const char* key, const char* text) {
    printf("\"%s\": \"", key);
    for (; *text != '\0'; ++text) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            printf("\\%c", byte);
        } else if (byte < 0x20) {
            printf("\\u%04x", (unsigned)byte);
        } else {
            putchar(byte);
        }
    }
    printf("\", ");
}

static void print_step(const subbyte_model* model, int32_t index, const int64_t* step_ns, size_t profiled) {
    const subbyte_step* step = &model->steps[index];
    int64_t* times = allocate(profiled * sizeof times[0], sizeof(void*));
    for (size_t run = 0; run < profiled; ++run) times[run] = step_ns[run * (size_t)model->step_count + (size_t)index];
    printf("%s\n  {", index > 0 ? "," : "");
    print_text("name", step->name);
    print_text("sources", step->sources);
    print_text("kernel", step->kernel);
    printf("\"macs\": %" PRId64 ", \"bytes\": %" PRId64 ", \"tiles\": %" PRId32 ", \"median_ns\": %" PRId64 "}",
           step->macs, step->bytes, step->tiles, subbyte_percentile(times, profiled, 50));
    free(times);
}

/* "Raspberry Pi 4 Model B Rev 1.4" */
static void read_board(char* name, size_t bytes) {
    FILE* file = fopen("/proc/device-tree/model", "rb");
    size_t read = 0;
    if (file != NULL) {
        read = fread(name, 1, bytes - 1, file);
        fclose(file);
    }
    name[read] = '\0';
}

static void print_machine(void) {
    char text[512];
    read_board(text, sizeof text);
    print_text("board", text);
    subbyte_cpu_feature_names(text, sizeof text);
    print_text("features", text);
}

void print_report(const subbyte_model* model, int32_t threads, size_t samples, int64_t* run_ns, size_t runs, int times,
                  const int64_t* step_ns, size_t profiled) {
    printf("{");
    print_text("model", model->name);
    print_text("target", model->target);
    print_text("digest", model->digest);
    print_machine();
    printf("\"threads\": %" PRId32 ", \"samples\": %zu, \"runs\": %zu, ", threads, samples, runs);
    printf("\"min_ns\": %" PRId64 ", \"p10_ns\": %" PRId64 ", \"median_ns\": %" PRId64 ", \"p90_ns\": %" PRId64 ", ",
           subbyte_percentile(run_ns, runs, 0), subbyte_percentile(run_ns, runs, 10),
           subbyte_percentile(run_ns, runs, 50), subbyte_percentile(run_ns, runs, 90));
    printf("\"arena_bytes\": %zu, \"scratch_bytes\": %zu, \"weights_bytes\": %zu, ", model->arena_bytes,
           model->scratch_bytes, model->weights_bytes);
    if (times) {
        for (size_t run = 0; run < runs; ++run) printf("%s%" PRId64, run > 0 ? ", " : "\"run_ns\": [", run_ns[run]);
        printf("], \"steps\": ");
    } else {
        printf("\"run_ns\": null, \"steps\": ");
    }
    if (step_ns == NULL) {
        printf("null}\n");
    } else {
        printf("[");
        for (int32_t i = 0; i < model->step_count; ++i) print_step(model, i, step_ns, profiled);
        printf("]}\n");
    }
    if (fflush(stdout) != 0) fail("the report cannot be written");
}
