// Runs each step of the model that is linked in once, in order, and calls step_begins before each and behind the last:
// count_instructions.c makes a section of its counts for each step.
//
//   steps [weights.bin]
//
// The inputs are random codes. Built from this file, the C files of runtime_cpp/src, runtime_cpp/runner/tensors.c and
// the model's object.
#include <stdlib.h>

#include "subbyte/execute.h"
#include "tensors.h"

__attribute__((noinline)) void step_begins(void) { __asm__ volatile(""); }

int main(int count, char** values) {
    const subbyte_model* model = subbyte_model_get();
    struct tensors inputs = open_tensors("input", model->inputs, model->input_count, NULL, 0, "rb");
    struct tensors outputs = open_tensors("output", model->outputs, model->output_count, NULL, 0, "wb");
    void* arena = allocate(subbyte_arena_bytes(model, 1), subbyte_arena_align(model));
    void* weights = model->weights_bytes > 0 && count > 1 ? read_file(values[1], model->weights_bytes) : NULL;
    subbyte_context context =
        subbyte_context_in(model, arena, weights, (const void* const*)inputs.buffers, outputs.buffers);
    char message[512];
    if (subbyte_check_model(model, NULL, message, sizeof message) != SUBBYTE_CHECK_OK) fail("%s", message);
    if ((model->weights_bytes > 0) != (weights != NULL)) fail("the model's weights are in a file, or are not");
    fill_randomly(&inputs, 1);
    for (int32_t i = 0; i < model->step_count; ++i) {
        const subbyte_step* step = &model->steps[i];
        step_begins();
        int32_t code = step->run(&context, 0, step->tiles, 0);
        if (code != SUBBYTE_OK) fail("step '%s' failed: %s", step->name, subbyte_error_text(code));
    }
    step_begins();
    free(weights);
    free(arena);
    close_tensors(&outputs);
    close_tensors(&inputs);
    return 0;
}
