/* The float environment that a model's results are defined in: round to nearest even, subnormals kept, no traps.
 * It belongs to the thread, and other libraries change it (one built with -ffast-math does so as it is loaded).
 * C99 and C++. */
#ifndef SUBBYTE_FLOAT_ENVIRONMENT_H
#define SUBBYTE_FLOAT_ENVIRONMENT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The control word of the thread as it was before subbyte_float_environment_enter. */
typedef uint64_t subbyte_float_environment;

/* Sets the model's float environment in this thread and returns what it replaces. */
subbyte_float_environment subbyte_float_environment_enter(void);

/* Puts back what subbyte_float_environment_enter returned, with the status flags of that time. */
void subbyte_float_environment_leave(subbyte_float_environment saved);

/* 1 if float32 arithmetic in this thread rounds to nearest even and keeps subnormals, shown by computing; else 0. */
int32_t subbyte_float_environment_is_exact(void);

#ifdef __cplusplus
}
#endif

#endif
