// Convolutions and matrix products of u8 codes with constant s8 weights by AVX2: vpmaddubsw and vpmaddwd, for weights whose pairs provably do not saturate.
//
// w: packed by o8k4: [panels][kernel rows][taps][groups][vectors][8 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX2_MADDUBS_H
#define SUBBYTE_X86_SUMS_AVX2_MADDUBS_H

#include "x86_sums.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_maddubs
#define SUBBYTE_WORDS 0
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX2_MADDUBS_H
