// Sums of products whose weights are packed to their real bits (packed.h): convolutions, depthwise ones, matrix products.
//
// subbyte_packed_conv_VALUE_s8_SUM and so on: VALUE holds x less its zero point, SUM every partial sum; weights become s8.
// A few filters are unpacked at a time, and stay so while all pixels or rows of a tile are multiplied with them.

#ifndef SUBBYTE_PACKED_SUMS_H
#define SUBBYTE_PACKED_SUMS_H

#include "centre.h"
#include "dots.h"
#include "gemm.h"
#include "packed.h"
#include "window.h"

enum { SUBBYTE_FILTERS = 8 };  // filters that are unpacked at once

#define SUBBYTE_VALUE s16
#define SUBBYTE_SUM s32
#include "packed_sums_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_SUM s64
#include "packed_sums_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_SUM s64
#include "packed_sums_body.h"

#endif  // SUBBYTE_PACKED_SUMS_H
