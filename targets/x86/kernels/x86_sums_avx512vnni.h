// Convolutions and matrix products of u8 codes with constant s8 weights by AVX512-VNNI: vpdpbusd, 64 products an instruction.
//
// w: packed by o16k4: [panels][kernel rows][taps][groups][vectors][16 outputs][4 products].

#ifndef SUBBYTE_X86_SUMS_AVX512VNNI_H
#define SUBBYTE_X86_SUMS_AVX512VNNI_H

#include "x86_sums.h"
#include "x86_vector_avx512.h"

#if !defined(__AVX512VNNI__)
#error "this file needs AVX512-VNNI: compile with -mavx512vnni"
#endif

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512vnni
#define SUBBYTE_WORDS 0
#include "x86_sums_body.h"

#endif  // SUBBYTE_X86_SUMS_AVX512VNNI_H
