// Convolutions and matrix products of u8 codes with constant s8 weights by AVX-512: vpmaddubsw, whose results are
// added in 16 bits where they provably fit.
//
// w: fours of products in the order of bundles: [fours][16 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX512_BUNDLES_H
#define SUBBYTE_X86_SUMS_AVX512_BUNDLES_H

#include "x86_pairs_avx512.h"
#include "x86_sums.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512_bundles
#include "x86_bundles_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX512_BUNDLES_H
