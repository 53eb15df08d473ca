// Exact dot products of one row of values with several rows of weights, and their results.

#ifndef SUBBYTE_DOTS_H
#define SUBBYTE_DOTS_H

#include "epilogue.h"
#include "variant.h"

#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s32
#include "dots_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s32
#include "dots_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#define SUBBYTE_RUN 256  // a product is at most 2^15 * 2^7
#include "dots_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "dots_body.h"
#define SUBBYTE_VALUE s16
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "dots_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s8
#define SUBBYTE_SUM s64
#include "dots_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s16
#define SUBBYTE_SUM s64
#include "dots_body.h"
#define SUBBYTE_VALUE s32
#define SUBBYTE_WEIGHT s32
#define SUBBYTE_SUM s64
#include "dots_body.h"

#endif  // SUBBYTE_DOTS_H
