/* Runs one compiled model, linked in from its libmodel.a, on a board or an emulator: raw files in, raw files out,
 * timings as JSON on stdout. C99 and POSIX threads, so that it links statically everywhere; built from the C files of
 * runner/ and src/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "report.h"
#include "subbyte/execute.h"
#include "subbyte/float_environment.h"
#include "tensors.h"

/* The model, ready to run. */
struct session {
    const subbyte_model* model;
    subbyte_context context;
    subbyte_pool* pool;
    void* arena;
    void* weights;
};

static void check_model(const subbyte_model* model, const struct arguments* arguments) {
    char message[1280];
    subbyte_float_environment saved;
    if (subbyte_check_model(model, arguments->digest, message, sizeof message) != SUBBYTE_CHECK_OK) {
        fail("the model cannot run: %s", message);
    }
    saved = subbyte_float_environment_enter();
    if (!subbyte_float_environment_is_exact()) {
        fail("this processor does not compute float32 with round-to-nearest-even and subnormals");
    }
    subbyte_float_environment_leave(saved);
    if ((model->weights_bytes > 0) != (arguments->weights != NULL)) {
        fail(model->weights_bytes > 0 ? "the model keeps its weights in a file; name it with --weights"
                                      : "the model holds its weights itself; --weights does not belong to it");
    }
}

static struct session open_session(const subbyte_model* model, const struct arguments* arguments,
                                   const struct tensors* inputs, const struct tensors* outputs) {
    struct session session = {model, {NULL, NULL, NULL, NULL, NULL}, NULL, NULL, NULL};
    if (arguments->weights != NULL) session.weights = read_file(arguments->weights, model->weights_bytes);
    session.arena = allocate(subbyte_arena_bytes(model, arguments->threads), subbyte_arena_align(model));
    session.pool = subbyte_pool_create(arguments->threads);
    if (session.pool == NULL) fail("the system refuses %d threads: %s", (int)arguments->threads, strerror(errno));
    session.context = subbyte_context_in(model, session.arena, session.weights, (const void* const*)inputs->buffers,
                                         outputs->buffers);
    return session;
}

static void close_session(struct session* session) {
    subbyte_pool_destroy(session->pool);
    free(session->arena);
    free(session->weights);
}

static void infer(const struct session* session, int64_t* step_ns) {
    subbyte_outcome outcome = subbyte_execute(session->model, &session->context, session->pool, step_ns);
    if (outcome.code != SUBBYTE_OK) {
        const subbyte_step* step = &session->model->steps[outcome.step];
        fail("step '%s', which computes %s, failed with code %d: %s", step->name, step->sources, (int)outcome.code,
             subbyte_error_text(outcome.code));
    }
}

int main(int count, char** values) {
    const subbyte_model* model = subbyte_model_get();
    const char *complaint, *culprit;
    struct arguments arguments;
    if (parse_arguments(count, values, &arguments, &complaint, &culprit) != 0) {
        fprintf(stderr, "runner: %s %s\n", culprit, complaint);
        return 2;
    }
    if (arguments.help) {
        fputs(USAGE, stdout);
        return 0;
    }
    check_model(model, &arguments);
    struct tensors inputs =
        open_tensors("input", model->inputs, model->input_count, arguments.inputs, arguments.input_count, "rb");
    size_t samples = count_samples(&inputs);
    struct tensors outputs =
        open_tensors("output", model->outputs, model->output_count, arguments.outputs, arguments.output_count, "wb");
    struct session session = open_session(model, &arguments, &inputs, &outputs);
    size_t runs = samples * (size_t)arguments.repeats, steps = (size_t)model->step_count;
    size_t profiled = arguments.profile ? (size_t)arguments.repeats : 0;
    int64_t* run_ns = allocate(runs * sizeof run_ns[0], sizeof(void*));
    int64_t* step_ns = arguments.profile ? allocate(profiled * steps * sizeof step_ns[0], sizeof(void*)) : NULL;

    if (arguments.random) fill_randomly(&inputs, arguments.seed);
    for (size_t sample = 0, run = 0; sample < samples; ++sample) {
        read_sample(&inputs);
        for (int32_t i = 0; sample == 0 && i < arguments.warmup; ++i) infer(&session, NULL);
        for (int32_t i = 0; i < arguments.repeats; ++i, ++run) {
            int64_t begin = subbyte_now_ns();
            infer(&session, NULL);
            run_ns[run] = subbyte_now_ns() - begin;
        }
        write_sample(&outputs);
    }
    for (size_t run = 0; run < profiled; ++run) infer(&session, step_ns + run * steps);
    print_report(model, arguments.threads, samples, run_ns, runs, arguments.times, step_ns, profiled);

    free(run_ns);
    free(step_ns);
    close_session(&session);
    close_tensors(&outputs);
    close_tensors(&inputs);
    return 0;
}
