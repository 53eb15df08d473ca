/* small: compiled by subbyte for portable. */
#ifndef SUBBYTE_BUNDLE_SMALL_H
#define SUBBYTE_BUNDLE_SMALL_H

#include "subbyte_model.h"

/* The memory that one call needs; one arena per thread. */
#define SMALL_ARENA_BYTES 256
#define SMALL_ARENA_ALIGN 64
#define SMALL_WEIGHTS_BYTES 0

/* x: float32[1, 2, 4, 4] */
#define SMALL_X_RANK 4
#define SMALL_X_SHAPE {1, 2, 4, 4}
#define SMALL_X_ELEMENTS 32

/* out: float32[1, 2] */
#define SMALL_OUT_RANK 2
#define SMALL_OUT_SHAPE {1, 2}
#define SMALL_OUT_ELEMENTS 2

#ifdef __cplusplus
extern "C" {
#endif

/* One inference: operands in the order of the ONNX graph, row-major, narrow codes one per byte. Returns
 * SUBBYTE_OK or a negative code of subbyte_model.h. Outputs must not overlap inputs or the arena. */
int small_run(const float *x, float *out, void *arena);

/* The same model as a list of steps, for the subbyte runtime. */
const subbyte_model *small_model(void);
const subbyte_model *subbyte_model_get(void);

#ifdef __cplusplus
}
#endif

#endif
