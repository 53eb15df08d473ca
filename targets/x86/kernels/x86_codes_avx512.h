// Elementwise work on bytes by AVX-512 BW.

#ifndef SUBBYTE_X86_CODES_AVX512_H
#define SUBBYTE_X86_CODES_AVX512_H

#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_codes_body.h"

#endif  // SUBBYTE_X86_CODES_AVX512_H
