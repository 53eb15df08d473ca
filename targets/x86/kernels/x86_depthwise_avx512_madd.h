// Depthwise convolutions of u8 codes with constant weights, held as s16, by AVX-512 BW: vpmaddwd on 16-bit integers.

#ifndef SUBBYTE_X86_DEPTHWISE_AVX512_MADD_H
#define SUBBYTE_X86_DEPTHWISE_AVX512_MADD_H

#include "x86_depthwise.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512_madd
#define SUBBYTE_WORDS 1
#include "x86_depthwise_body.h"

#endif  // SUBBYTE_X86_DEPTHWISE_AVX512_MADD_H
