// Convolutions and matrix products of u8 codes with constant s8 weights by AVX2: vpmaddubsw, whose results are
// added in 16 bits where they provably fit.
//
// w: fours of products in the order of bundles: [fours][8 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX2_BUNDLES_H
#define SUBBYTE_X86_SUMS_AVX2_BUNDLES_H

#include "x86_pairs_avx2.h"
#include "x86_sums.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_bundles
#include "x86_bundles_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX2_BUNDLES_H
