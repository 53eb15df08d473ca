// Convolutions of several groups of u8 codes with constant s8 weights by AVX-VNNI: vpdpbusd.

#ifndef SUBBYTE_X86_GROUPS_AVXVNNI_H
#define SUBBYTE_X86_GROUPS_AVXVNNI_H

#include "x86_groups.h"
#include "x86_sums_avxvnni.h"

#define SUBBYTE_DOT avxvnni
#include "x86_groups_body.h"

#endif  // SUBBYTE_X86_GROUPS_AVXVNNI_H
