// Names for headers that are included once for each set of element types (NAME_body.h).
//
// Before such a header: #define SUBBYTE_VALUE s16, SUBBYTE_WEIGHT s8 and SUBBYTE_SUM s32, those that it asks for. It defines
// STEM_s16s8s32 and leaves the three undefined.

#ifndef SUBBYTE_VARIANT_H
#define SUBBYTE_VARIANT_H

#include <stdint.h>

#define SUBBYTE_C_TYPE_s8 int8_t
#define SUBBYTE_C_TYPE_s16 int16_t
#define SUBBYTE_C_TYPE_s32 int32_t
#define SUBBYTE_C_TYPE_s64 int64_t
#define SUBBYTE_C_TYPE_f32 float

#define SUBBYTE_PASTE_2(a, b) a##b
#define SUBBYTE_PASTE_4(a, b, c, d) a##b##c##d

// The C type called s16; the name STEM followed by one type, or by three.
#define SUBBYTE_C_TYPE(type) SUBBYTE_PASTE_2(SUBBYTE_C_TYPE_, type)
#define SUBBYTE_OF(stem, type) SUBBYTE_PASTE_2(stem, type)
#define SUBBYTE_OF_3(stem, value, weight, sum) SUBBYTE_PASTE_4(stem, value, weight, sum)

#endif  // SUBBYTE_VARIANT_H
