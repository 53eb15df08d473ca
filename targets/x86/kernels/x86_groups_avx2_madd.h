// Convolutions of several groups of u8 codes with constant s8 weights by AVX2: vpmaddwd.

#ifndef SUBBYTE_X86_GROUPS_AVX2_MADD_H
#define SUBBYTE_X86_GROUPS_AVX2_MADD_H

#include "x86_groups.h"
#include "x86_sums_avx2_madd.h"

#define SUBBYTE_DOT avx2_madd
#include "x86_groups_body.h"

#endif  // SUBBYTE_X86_GROUPS_AVX2_MADD_H
