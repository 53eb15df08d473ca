/* What the processor at hand can do, in LLVM's words, as far as the system lets programs use it. C99 and C++. */
#ifndef SUBBYTE_CPU_FEATURES_H
#define SUBBYTE_CPU_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SUBBYTE_MAX_FEATURES 96

/* Fills `names` with the features this processor has ("avx2", "avx512vnni", "dotprod") and returns how many. */
size_t subbyte_cpu_features(const char* names[SUBBYTE_MAX_FEATURES]);

/* Writes those names to `text`, separated by spaces, as many as fit in `text_bytes`. */
void subbyte_cpu_feature_names(char* text, size_t text_bytes);

/* Of `required`, names separated by spaces, writes those that this processor lacks to `missing`, separated by spaces
 * and cut to `missing_bytes`, and returns how many they are. A name that is unknown here counts as missing. */
int32_t subbyte_missing_features(const char* required, char* missing, size_t missing_bytes);

#ifdef __cplusplus
}
#endif

#endif
