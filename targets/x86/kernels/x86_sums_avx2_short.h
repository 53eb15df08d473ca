// Convolutions and matrix products of u8 codes with constant s8 weights by AVX2: vpmaddubsw, whose results are
// added in 16 bits for as long as they provably fit.
//
// w: packed by o8k4: [panels][kernel rows][taps][groups][vectors][8 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX2_SHORT_H
#define SUBBYTE_X86_SUMS_AVX2_SHORT_H

#include "x86_pairs_avx2.h"
#include "x86_sums.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_short
#include "x86_short_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX2_SHORT_H
