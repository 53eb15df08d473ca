/* A model written by hand, for the tests of the runtime: what codegen would print, with switches (-D) that break it.
 *
 *   y[r][c] = 2 * x[r][c] + (q[c] - 3), x float32 [4, 8], q uint4 [8]; a NaN in x stays one
 *   codes   = q
 *   tiny    = [4] of half the smallest normal float32, computed at run time: 0 where subnormals are flushed
 *   half    = float16 [2], the bits of 1.5 and of -2
 *
 * Step 01_Double refuses (SUBBYTE_ERROR_STEP) where q[0] is 15, in rows 2 and 3 only. */
#include <string.h>

#include "subbyte/subbyte_model.h"

#ifndef SMALL_ABI_VERSION
#define SMALL_ABI_VERSION SUBBYTE_ABI_VERSION
#endif
#ifndef SMALL_STRUCT_BYTES
#define SMALL_STRUCT_BYTES sizeof(subbyte_model)
#endif
#ifndef SMALL_FEATURES
#define SMALL_FEATURES ""
#endif
#ifndef SMALL_DIGEST
#define SMALL_DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#endif
#ifndef SMALL_ARENA_ALIGN
#define SMALL_ARENA_ALIGN 64
#endif
#ifndef SMALL_X_BYTES
#define SMALL_X_BYTES 128
#endif
#ifndef SMALL_TILES
#define SMALL_TILES ROWS
#endif
#ifndef SMALL_FACTOR
#define SMALL_FACTOR 2.0f
#endif

enum { ROWS = 4, COLUMNS = 8, ZERO_POINT = 3, REFUSED_CODE = 15, SCRATCH_BYTES = 64 };

/* With SMALL_WEIGHTS_FILE the factor is the first float32 of weights.bin, otherwise a constant. */
#ifdef SMALL_WEIGHTS_FILE
#define WEIGHTS_BYTES 64
static const float* factor(const subbyte_context* context) { return (const float*)context->weights; }
#else
#define WEIGHTS_BYTES 0
static const float FACTOR = SMALL_FACTOR;
static const float* factor(const subbyte_context* context) {
    (void)context;
    return &FACTOR;
}
#endif

static int32_t offset(const subbyte_context* context, int32_t begin, int32_t end, int32_t thread) {
    const unsigned char* q = context->inputs[1];
    float* shifted = (float*)context->arena;
    (void)thread;
    if (begin != 0 || end != 1) return SUBBYTE_ERROR_STEP;
    for (int column = 0; column < COLUMNS; ++column) shifted[column] = (float)((int)q[column] - ZERO_POINT);
    memcpy(context->outputs[1], q, COLUMNS);
    return SUBBYTE_OK;
}

static int32_t twice(const subbyte_context* context, int32_t begin, int32_t end, int32_t thread) {
    const float* x = context->inputs[0];
    const float* shifted = (const float*)context->arena;
    float* row = (float*)(context->scratch + (size_t)thread * SCRATCH_BYTES);
    for (int32_t tile = begin; tile < end; ++tile) {
        if (tile >= 2 && ((const unsigned char*)context->inputs[1])[0] == REFUSED_CODE) return SUBBYTE_ERROR_STEP;
        for (int column = 0; column < COLUMNS; ++column) {
            row[column] = x[tile * COLUMNS + column] * *factor(context) + shifted[column];
        }
        memcpy((float*)context->outputs[0] + tile * COLUMNS, row, COLUMNS * sizeof row[0]);
    }
    return SUBBYTE_OK;
}

static int32_t halve(const subbyte_context* context, int32_t begin, int32_t end, int32_t thread) {
    volatile float smallest_normal = 1.17549435e-38f;
    (void)thread;
    for (int32_t tile = begin; tile < end; ++tile) ((float*)context->outputs[2])[tile] = smallest_normal * 0.5f;
    return SUBBYTE_OK;
}

static int32_t give_half(const subbyte_context* context, int32_t begin, int32_t end, int32_t thread) {
    static const uint16_t bits[2] = {0x3e00, 0xc000};
    (void)begin, (void)end, (void)thread;
    memcpy(context->outputs[3], bits, sizeof bits);
    return SUBBYTE_OK;
}

static const int64_t shape_x[] = {ROWS, COLUMNS}, shape_q[] = {COLUMNS}, shape_tiny[] = {ROWS}, shape_half[] = {2};
static const float scale_q[] = {0.5f};
static const int32_t zero_point_q[] = {ZERO_POINT};

static const subbyte_tensor inputs[] = {
    {"x", "float32", SUBBYTE_FLOAT32, 2, shape_x, SMALL_X_BYTES, 0, 0, 0, 0},
    {"q", "uint4", SUBBYTE_UINT8, 1, shape_q, COLUMNS, scale_q, zero_point_q, 1, 0},
};

static const subbyte_tensor outputs[] = {
    {"y", "float32", SUBBYTE_FLOAT32, 2, shape_x, 128, 0, 0, 0, 0},
    {"codes", "uint4", SUBBYTE_UINT8, 1, shape_q, COLUMNS, scale_q, zero_point_q, 1, 0},
    {"tiny", "float32", SUBBYTE_FLOAT32, 1, shape_tiny, 16, 0, 0, 0, 0},
    {"half", "float16", SUBBYTE_FLOAT16, 1, shape_half, 4, 0, 0, 0, 0},
};

static const subbyte_step steps[] = {
    {"00_Offset", "/offset", "offset", 0, 16, 1, offset},
    {"01_Double", "/double \"twice\" + /add", "twice", 32, 288, SMALL_TILES, twice},
    {"02_Halve", "/halve", "halve", 4, 16, ROWS, halve},
    {"03_Half", "/half", "give_half", 0, 4, 1, give_half},
};

static const subbyte_model model = {
    SMALL_ABI_VERSION,
    SMALL_STRUCT_BYTES,
    "small",
    "portable",
    SMALL_FEATURES,
    SMALL_DIGEST,
    2,
    inputs,
    4,
    outputs,
    4,
    steps,
    32,
    SMALL_ARENA_ALIGN,
    SCRATCH_BYTES,
    WEIGHTS_BYTES,
};

const subbyte_model* small_model(void);
const subbyte_model* small_model(void) { return &model; }

SUBBYTE_WEAK const subbyte_model* subbyte_model_get(void) { return small_model(); }
