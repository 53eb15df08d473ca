// Elementwise work on bytes by AVX2.

#ifndef SUBBYTE_X86_CODES_AVX2_H
#define SUBBYTE_X86_CODES_AVX2_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_codes_body.h"

#endif  // SUBBYTE_X86_CODES_AVX2_H
