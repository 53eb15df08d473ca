// Depthwise convolutions of u8 codes by columns of the window, weights held as s8: vpdpbusd by AVX-VNNI.

#ifndef SUBBYTE_X86_COLUMNS_AVXVNNI_H
#define SUBBYTE_X86_COLUMNS_AVXVNNI_H

#include "x86_columns.h"
#include "x86_vector_avx2.h"

#if !defined(__AVXVNNI__)
#error "this file needs AVX-VNNI: compile with -mavxvnni"
#endif

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avxvnni
#define SUBBYTE_WORDS 0
#include "x86_columns_body.h"

#endif  // SUBBYTE_X86_COLUMNS_AVXVNNI_H
