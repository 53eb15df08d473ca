// Depthwise convolutions of u8 codes with constant weights, held as s16, by AVX2: vpmaddwd on 16-bit integers.

#ifndef SUBBYTE_X86_DEPTHWISE_AVX2_MADD_H
#define SUBBYTE_X86_DEPTHWISE_AVX2_MADD_H

#include "x86_depthwise.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_madd
#define SUBBYTE_WORDS 1
#include "x86_depthwise_body.h"

#endif  // SUBBYTE_X86_DEPTHWISE_AVX2_MADD_H
