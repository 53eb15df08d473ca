// Convolutions of codes with constant weights, 1-D (height 1) and 2-D, grouped, dilated, transposed; exact sums, then N4.
//
// subbyte_conv_VALUE_WEIGHT_SUM: VALUE holds x less its zero point, WEIGHT w less its own, SUM every partial sum.

#ifndef SUBBYTE_CONV_H
#define SUBBYTE_CONV_H

#include "dots.h"
#include "window.h"

#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s32
#include "conv_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s32
#include "conv_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "conv_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "conv_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "conv_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "conv_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "conv_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "conv_body.h"

#endif  // SUBBYTE_CONV_H
