#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "subbyte/cpu_features.h"
#include "subbyte/execute.h"

enum {
    MAX_TENSORS = 4096,
    MAX_RANK = 32, /* NumPy 1 has no more */
    MAX_STEPS = 1 << 24,
    MAX_ALIGN = 1 << 21,
    DIGEST_DIGITS = 64
};

/* No model needs more than this; larger sizes come from a broken description and could overflow. Every thread has scratch. */
#define MAX_BYTES ((size_t)-1 / 4)
#define MAX_SCRATCH_BYTES (MAX_BYTES / SUBBYTE_MAX_THREADS)

struct complaint {
    char* message;
    size_t message_bytes;
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static int32_t complain(const struct complaint* complaint, int32_t kind, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint->message, complaint->message_bytes, format, arguments);
    va_end(arguments);
    return kind;
}

size_t subbyte_dtype_bytes(int32_t dtype) {
    switch (dtype) {
        case SUBBYTE_BOOL:
        case SUBBYTE_INT8:
        case SUBBYTE_UINT8:
            return 1;
        case SUBBYTE_INT16:
        case SUBBYTE_UINT16:
        case SUBBYTE_FLOAT16:
            return 2;
        case SUBBYTE_INT32:
        case SUBBYTE_UINT32:
        case SUBBYTE_FLOAT32:
            return 4;
        case SUBBYTE_INT64:
        case SUBBYTE_UINT64:
        case SUBBYTE_FLOAT64:
            return 8;
        default:
            return 0;
    }
}

static int32_t check_tensor(const struct complaint* complaint, const char* role, int32_t index,
                            const subbyte_tensor* tensor) {
    size_t bytes = subbyte_dtype_bytes(tensor->dtype);
    if (tensor->name == NULL || tensor->code == NULL) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "%s %d has no name or no element type", role, (int)index);
    }
    if (bytes == 0) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "%s '%.80s' has dtype %d, which does not exist", role,
                        tensor->name, (int)tensor->dtype);
    }
    if (tensor->rank < 0 || tensor->rank > MAX_RANK || (tensor->rank > 0 && tensor->shape == NULL)) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "%s '%.80s' has rank %d; 0 to %d are possible", role,
                        tensor->name, (int)tensor->rank, MAX_RANK);
    }
    for (int32_t i = 0; i < tensor->rank; ++i) {
        if (tensor->shape[i] < 0 || (tensor->shape[i] > 0 && bytes > MAX_BYTES / (uint64_t)tensor->shape[i])) {
            return complain(complaint, SUBBYTE_CHECK_BROKEN, "%s '%.80s' has the extent %lld in dimension %d", role,
                            tensor->name, (long long)tensor->shape[i], (int)i);
        }
        bytes *= (size_t)tensor->shape[i];
    }
    if (bytes != tensor->bytes) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "%s '%.80s' says that it has %zu bytes; its shape and dtype make %zu", role, tensor->name,
                        tensor->bytes, bytes);
    }
    if (tensor->scale_count < 0 || (tensor->scale_count > 0 && (tensor->scale == NULL || tensor->zero_point == NULL)) ||
        (tensor->scale_count > 1 &&
         (tensor->axis < 0 || tensor->axis >= tensor->rank || tensor->shape[tensor->axis] != tensor->scale_count))) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "%s '%.80s' has %d scales on axis %d, which do not fit its shape", role, tensor->name,
                        (int)tensor->scale_count, (int)tensor->axis);
    }
    return SUBBYTE_CHECK_OK;
}

static int32_t check_tensors(const struct complaint* complaint, const char* role, const subbyte_tensor* tensors,
                             int32_t count) {
    if (count < 0 || count > MAX_TENSORS || (count > 0 && tensors == NULL)) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "the model lists %d %ss; 0 to %d are possible", (int)count,
                        role, MAX_TENSORS);
    }
    for (int32_t i = 0; i < count; ++i) {
        int32_t kind = check_tensor(complaint, role, i, &tensors[i]);
        if (kind != SUBBYTE_CHECK_OK) return kind;
    }
    return SUBBYTE_CHECK_OK;
}

static int32_t check_steps(const struct complaint* complaint, const subbyte_model* model) {
    if (model->step_count < 0 || model->step_count > MAX_STEPS || (model->step_count > 0 && model->steps == NULL)) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "the model lists %d steps; 0 to %d are possible",
                        (int)model->step_count, MAX_STEPS);
    }
    for (int32_t i = 0; i < model->step_count; ++i) {
        const subbyte_step* step = &model->steps[i];
        if (step->name == NULL || step->sources == NULL || step->kernel == NULL || step->run == NULL ||
            step->tiles < 1) {
            return complain(complaint, SUBBYTE_CHECK_BROKEN,
                            "step %d has no name, sources, kernel or function, or %d tiles", (int)i, (int)step->tiles);
        }
    }
    return SUBBYTE_CHECK_OK;
}

static int32_t check_memory(const struct complaint* complaint, const subbyte_model* model) {
    size_t align = model->arena_align;
    if (align == 0 || (align & (align - 1)) != 0 || align > MAX_ALIGN) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "the arena is to be aligned to %zu; a power of two up to %d is possible", align, MAX_ALIGN);
    }
    if (model->arena_bytes > MAX_BYTES || model->weights_bytes > MAX_BYTES) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "the model asks for %zu bytes of arena and %zu of weights; %zu are possible",
                        model->arena_bytes, model->weights_bytes, (size_t)MAX_BYTES);
    }
    if (model->scratch_bytes > MAX_SCRATCH_BYTES) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "the model asks for %zu bytes of scratch for each thread; %zu are possible",
                        model->scratch_bytes, (size_t)MAX_SCRATCH_BYTES);
    }
    if (model->scratch_bytes % align != 0) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "scratch of %zu bytes is not a multiple of the alignment %zu",
                        model->scratch_bytes, align);
    }
    return SUBBYTE_CHECK_OK;
}

static int32_t check_digest(const struct complaint* complaint, const char* digest, const char* expected) {
    size_t digits = strspn(digest, "0123456789abcdef");
    if (digits != DIGEST_DIGITS || digest[digits] != '\0') {
        return complain(complaint, SUBBYTE_CHECK_BROKEN, "its digest '%.80s' is not %d lower-case hexadecimal digits",
                        digest, DIGEST_DIGITS);
    }
    if (expected != NULL && strcmp(digest, expected) != 0) {
        return complain(complaint, SUBBYTE_CHECK_BROKEN,
                        "its digest is %.12s..., the manifest's %.12s...: the library was built from another model.c",
                        digest, expected);
    }
    return SUBBYTE_CHECK_OK;
}

int32_t subbyte_check_model(const subbyte_model* model, const char* expected_digest, char* message,
                            size_t message_bytes) {
    const struct complaint complaint = {message, message_bytes};
    char missing[256], present[480];
    int32_t kind;
    if (model == NULL) return complain(&complaint, SUBBYTE_CHECK_BROKEN, "it describes no model");
    if (model->abi_version != SUBBYTE_ABI_VERSION) {
        return complain(
            &complaint, SUBBYTE_CHECK_MISFIT,
            "it was built for version %d of the model interface, this runtime has version %d; compile the model "
            "again with this version of subbyte",
            (int)model->abi_version, SUBBYTE_ABI_VERSION);
    }
    if (model->struct_bytes != (int32_t)sizeof(subbyte_model)) {
        return complain(
            &complaint, SUBBYTE_CHECK_MISFIT,
            "its description has %d bytes, this runtime's %d: they were built with another subbyte_model.h or for "
            "another kind of processor",
            (int)model->struct_bytes, (int)sizeof(subbyte_model));
    }
    if (model->name == NULL || model->target == NULL || model->features == NULL || model->digest == NULL) {
        return complain(&complaint, SUBBYTE_CHECK_BROKEN, "its name, target, features or digest is missing");
    }
    kind = check_digest(&complaint, model->digest, expected_digest);
    if (kind == SUBBYTE_CHECK_OK) kind = check_memory(&complaint, model);
    if (kind == SUBBYTE_CHECK_OK) kind = check_tensors(&complaint, "input", model->inputs, model->input_count);
    if (kind == SUBBYTE_CHECK_OK) kind = check_tensors(&complaint, "output", model->outputs, model->output_count);
    if (kind == SUBBYTE_CHECK_OK) kind = check_steps(&complaint, model);
    if (kind != SUBBYTE_CHECK_OK) return kind;
    if (subbyte_missing_features(model->features, missing, sizeof missing) > 0) {
        subbyte_cpu_feature_names(present, sizeof present);
        return complain(&complaint, SUBBYTE_CHECK_MISFIT,
                        "it was compiled for %.80s, which needs %.240s; this processor lacks %s: it has %s. Compile "
                        "the model for a target that it can run, or on it for the target native",
                        model->target, model->features, missing, present[0] != '\0' ? present : "none that is known");
    }
    return SUBBYTE_CHECK_OK;
}
