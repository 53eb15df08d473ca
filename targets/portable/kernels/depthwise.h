// Depthwise convolutions of codes: one filter for each channel; exact sums, then N4.

#ifndef SUBBYTE_DEPTHWISE_H
#define SUBBYTE_DEPTHWISE_H

#include "epilogue.h"
#include "taps.h"
#include "variant.h"

#define SUBBYTE_SUM s32
#include "depthwise_body.h"
#define SUBBYTE_SUM s64
#include "depthwise_body.h"

#endif  // SUBBYTE_DEPTHWISE_H
