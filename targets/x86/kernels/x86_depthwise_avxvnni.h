// Depthwise convolutions of u8 codes with constant weights, held as s8, by AVX-VNNI: vpdpbusd.

#ifndef SUBBYTE_X86_DEPTHWISE_AVXVNNI_H
#define SUBBYTE_X86_DEPTHWISE_AVXVNNI_H

#include "x86_depthwise.h"
#include "x86_vector_avx2.h"

#if !defined(__AVXVNNI__)
#error "this file needs AVX-VNNI: compile with -mavxvnni"
#endif

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avxvnni
#define SUBBYTE_WORDS 0
#include "x86_depthwise_body.h"

#endif  // SUBBYTE_X86_DEPTHWISE_AVXVNNI_H
