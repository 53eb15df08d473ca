// Convolutions and matrix products of u8 codes with constant s8 weights by AVX2: vpmaddwd on 16-bit integers, exact for all weights.
//
// w: packed by o8k2: [panels][kernel rows][taps][groups][vectors][8 outputs][2 products].

#ifndef SUBBYTE_X86_SUMS_AVX2_MADD_H
#define SUBBYTE_X86_SUMS_AVX2_MADD_H

#include "x86_sums.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_madd
#define SUBBYTE_WORDS 1
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX2_MADD_H
