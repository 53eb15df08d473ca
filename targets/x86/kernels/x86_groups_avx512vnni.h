// Convolutions of several groups of u8 codes with constant s8 weights by AVX512-VNNI: vpdpbusd.

#ifndef SUBBYTE_X86_GROUPS_AVX512VNNI_H
#define SUBBYTE_X86_GROUPS_AVX512VNNI_H

#include "x86_groups.h"
#include "x86_sums_avx512vnni.h"

#define SUBBYTE_DOT avx512vnni
#include "x86_groups_body.h"

#endif  // SUBBYTE_X86_GROUPS_AVX512VNNI_H
