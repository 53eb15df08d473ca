// Gathers what one output pixel of a convolution sees into a row: x less its zero point, 0 where there is padding.

#ifndef SUBBYTE_WINDOW_H
#define SUBBYTE_WINDOW_H

#include "centre.h"
#include "taps.h"
#include "variant.h"

#define SUBBYTE_VALUE s16
#include "window_body.h"
#define SUBBYTE_VALUE s32
#include "window_body.h"

#endif  // SUBBYTE_WINDOW_H
