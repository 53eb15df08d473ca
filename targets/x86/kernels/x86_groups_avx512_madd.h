// Convolutions of several groups of u8 codes with constant s8 weights by AVX-512 BW: vpmaddwd.

#ifndef SUBBYTE_X86_GROUPS_AVX512_MADD_H
#define SUBBYTE_X86_GROUPS_AVX512_MADD_H

#include "x86_groups.h"
#include "x86_sums_avx512_madd.h"

#define SUBBYTE_DOT avx512_madd
#include "x86_groups_body.h"

#endif  // SUBBYTE_X86_GROUPS_AVX512_MADD_H
