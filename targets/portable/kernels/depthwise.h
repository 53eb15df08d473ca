// Depthwise convolutions of codes: one filter for each channel; exact sums, then N4.
//
// subbyte_depthwise_VALUE_WEIGHT_SUM: the types as in conv.h.

#ifndef SUBBYTE_DEPTHWISE_H
#define SUBBYTE_DEPTHWISE_H

#include "centre.h"
#include "epilogue.h"
#include "taps.h"
#include "variant.h"

#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s32
#include "depthwise_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s32
#include "depthwise_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "depthwise_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "depthwise_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "depthwise_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "depthwise_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "depthwise_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "depthwise_body.h"

#endif  // SUBBYTE_DEPTHWISE_H
