// Quantization with a scale that is computed while the model runs (N9), by AVX2.

#ifndef SUBBYTE_X86_DYNAMIC_AVX2_H
#define SUBBYTE_X86_DYNAMIC_AVX2_H

#include "dynamic_range.h"
#include "x86_codes_avx2.h"
#include "x86_extremes_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_dynamic_body.h"

#endif  // SUBBYTE_X86_DYNAMIC_AVX2_H
