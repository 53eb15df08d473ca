// Depthwise convolutions of u8 codes by columns of the window, weights held as s8: vpdpbusd by AVX512-VNNI.

#ifndef SUBBYTE_X86_COLUMNS_AVX512VNNI_H
#define SUBBYTE_X86_COLUMNS_AVX512VNNI_H

#include "x86_columns.h"
#include "x86_vector_avx512.h"

#if !defined(__AVX512VNNI__)
#error "this file needs AVX512-VNNI: compile with -mavx512vnni"
#endif

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512vnni
#define SUBBYTE_WORDS 0
#include "x86_columns_body.h"

#endif  // SUBBYTE_X86_COLUMNS_AVX512VNNI_H
