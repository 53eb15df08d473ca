// Convolutions and matrix products of u8 codes with constant s8 weights by AVX-512: vpmaddubsw, whose results are
// added in 16 bits for as long as they provably fit.
//
// w: packed by o16k4: [panels][kernel rows][taps][groups][vectors][16 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX512_SHORT_H
#define SUBBYTE_X86_SUMS_AVX512_SHORT_H

#include "x86_pairs_avx512.h"
#include "x86_sums.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512_short
#include "x86_short_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX512_SHORT_H
