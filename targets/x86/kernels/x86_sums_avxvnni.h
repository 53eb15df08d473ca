// Convolutions and matrix products of u8 codes with constant s8 weights by AVX-VNNI: vpdpbusd, 32 products an instruction.
//
// w: packed by o8k4: [panels][kernel rows][taps][groups][vectors][8 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVXVNNI_H
#define SUBBYTE_X86_SUMS_AVXVNNI_H

#include "x86_sums.h"
#include "x86_vector_avx2.h"

#if !defined(__AVXVNNI__)
#error "this file needs AVX-VNNI: compile with -mavxvnni"
#endif

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avxvnni
#define SUBBYTE_WORDS 0
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVXVNNI_H
