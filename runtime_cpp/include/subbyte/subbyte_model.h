/* The interface between a compiled model and whoever runs it. Part of every bundle; C99 and C++.
 *
 * A model is a list of steps. A step does its work in `tiles` independent pieces; run(context, begin, end, thread)
 * does the pieces begin <= tile < end and may use the scratch memory of `thread`. Running every step from 0 to tiles,
 * in order, is one inference. Nothing is allocated and nothing global is written, so one model serves many threads,
 * each with a context (and an arena) of its own. */
#ifndef SUBBYTE_MODEL_H
#define SUBBYTE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when the meaning or the layout of anything in this file changes. */
#define SUBBYTE_ABI_VERSION 1

enum {
    SUBBYTE_OK = 0,
    SUBBYTE_ERROR_NULL = -1,              /* an input, an output, the arena or the weights are a null pointer */
    SUBBYTE_ERROR_ALIGNMENT = -2,         /* the arena or the weights are not aligned as the model says */
    SUBBYTE_ERROR_FLOAT_ENVIRONMENT = -3, /* the rounding mode is not to nearest even, or subnormals are flushed */
    SUBBYTE_ERROR_STEP = -4               /* a step refused its operands (an index out of range in Gather) */
};

/* Element types of inputs and outputs. Codes of fewer than 8 bits travel one per byte. */
enum {
    SUBBYTE_BOOL = 1,
    SUBBYTE_INT8 = 2,
    SUBBYTE_UINT8 = 3,
    SUBBYTE_INT16 = 4,
    SUBBYTE_UINT16 = 5,
    SUBBYTE_INT32 = 6,
    SUBBYTE_UINT32 = 7,
    SUBBYTE_INT64 = 8,
    SUBBYTE_UINT64 = 9,
    SUBBYTE_FLOAT16 = 10,
    SUBBYTE_FLOAT32 = 11,
    SUBBYTE_FLOAT64 = 12
};

/* An input or output: row-major, `bytes` long. real = scale * (code - zero_point) where scale_count > 0;
 * scale_count is 1 or the extent of `axis`. */
typedef struct subbyte_tensor {
    const char* name; /* as in the ONNX model */
    const char* code; /* the true element type: "int8", "uint4", "float32" */
    int32_t dtype;    /* SUBBYTE_INT8 ...: the type in memory */
    int32_t rank;
    const int64_t* shape;
    size_t bytes;
    const float* scale;
    const int32_t* zero_point;
    int32_t scale_count;
    int32_t axis;
} subbyte_tensor;

/* What a step works on. `scratch` holds scratch_bytes for each thread, one after the other. Inputs and outputs are
 * aligned to their element only; no output overlaps an input or another output. */
typedef struct subbyte_context {
    const void* const* inputs;
    void* const* outputs;
    unsigned char* arena;
    const unsigned char* weights; /* null where the weights are constants of the model */
    unsigned char* scratch;
} subbyte_context;

/* SUBBYTE_OK or a negative code. */
typedef int32_t (*subbyte_step_run)(const subbyte_context* context, int32_t begin, int32_t end, int32_t thread);

typedef struct subbyte_step {
    const char* name;    /* unique in the model: "03_QConv" */
    const char* sources; /* the ONNX nodes it computes: "/layer1/conv + /layer1/relu" */
    const char* kernel;  /* the symbol of its kernel */
    int64_t macs;
    int64_t bytes; /* read and written: operands, constants, result */
    int32_t tiles;
    subbyte_step_run run;
} subbyte_step;

typedef struct subbyte_model {
    int32_t abi_version; /* first, for ever: a loader reads it before anything else */
    int32_t struct_bytes;
    const char* name;
    const char* target;   /* "x86-64-v3+avxvnni" */
    const char* features; /* what the processor must have, separated by spaces: "avx2 fma avxvnni"; may be empty */
    const char* digest; /* SHA-256 of the model's program and constants, 64 hexadecimal digits; also in manifest.json */
    int32_t input_count;
    const subbyte_tensor* inputs;
    int32_t output_count;
    const subbyte_tensor* outputs;
    int32_t step_count;
    const subbyte_step* steps;
    size_t arena_bytes; /* without scratch */
    size_t arena_align;
    size_t scratch_bytes; /* for each thread; a multiple of arena_align */
    size_t weights_bytes; /* 0 where the weights are constants of the model */
} subbyte_model;

/* The model of a bundle's libmodel, under the name that every bundle has. A model.c marks its definition SUBBYTE_WEAK,
 * so that one program can link several bundles and reach each by its own NAME_model(). (A declaration must not be
 * weak: the linker would then leave the definition in its archive.) */
const subbyte_model* subbyte_model_get(void);

#if defined(__GNUC__)
#define SUBBYTE_WEAK __attribute__((weak))
#else
#define SUBBYTE_WEAK
#endif

#ifdef __cplusplus
}
#endif

#endif
