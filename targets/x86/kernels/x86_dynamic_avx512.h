// Quantization with a scale that is computed while the model runs (N9), by AVX-512.

#ifndef SUBBYTE_X86_DYNAMIC_AVX512_H
#define SUBBYTE_X86_DYNAMIC_AVX512_H

#include "dynamic_range.h"
#include "x86_codes_avx512.h"
#include "x86_extremes_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_dynamic_body.h"

#endif  // SUBBYTE_X86_DYNAMIC_AVX512_H
