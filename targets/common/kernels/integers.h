// Single integers of any width, for what is too rare to be done in blocks.

#ifndef SUBBYTE_INTEGERS_H
#define SUBBYTE_INTEGERS_H

#include "codes.h"

// x[at]; u64 modulo 2^64.
static inline int64_t subbyte_load_integer(const void* x, int32_t type, int32_t at) {
    switch (type) {
        case SUBBYTE_TYPE_U8:
            return ((const uint8_t*)x)[at];
        case SUBBYTE_TYPE_S8:
            return ((const int8_t*)x)[at];
        case SUBBYTE_TYPE_U16:
            return ((const uint16_t*)x)[at];
        case SUBBYTE_TYPE_S16:
            return ((const int16_t*)x)[at];
        case SUBBYTE_TYPE_U32:
            return ((const uint32_t*)x)[at];
        case SUBBYTE_TYPE_S32:
            return ((const int32_t*)x)[at];
        case SUBBYTE_TYPE_U64:
            return (int64_t)((const uint64_t*)x)[at];
        default:
            return ((const int64_t*)x)[at];
    }
}

// y[at] = value modulo 2^bits.
static inline void subbyte_store_integer(void* y, int32_t type, int32_t at, uint64_t value) {
    switch (type) {
        case SUBBYTE_TYPE_U8:
        case SUBBYTE_TYPE_S8:
            ((uint8_t*)y)[at] = (uint8_t)value;
            break;
        case SUBBYTE_TYPE_U16:
        case SUBBYTE_TYPE_S16:
            ((uint16_t*)y)[at] = (uint16_t)value;
            break;
        case SUBBYTE_TYPE_U32:
        case SUBBYTE_TYPE_S32:
            ((uint32_t*)y)[at] = (uint32_t)value;
            break;
        default:
            ((uint64_t*)y)[at] = value;
            break;
    }
}

#endif  // SUBBYTE_INTEGERS_H
