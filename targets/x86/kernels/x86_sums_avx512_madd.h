// Convolutions and matrix products of u8 codes with constant s8 weights by AVX-512 BW: vpmaddwd on 16-bit integers, exact for all weights.
//
// w: packed by o16k2: [panels][kernel rows][taps][groups][vectors][16 outputs][2 products].

#ifndef SUBBYTE_X86_SUMS_AVX512_MADD_H
#define SUBBYTE_X86_SUMS_AVX512_MADD_H

#include "x86_sums.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512_madd
#define SUBBYTE_WORDS 1
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX512_MADD_H
