// Depthwise convolutions of u8 codes by columns of the window, weights held as s16: vpmaddwd by AVX2.

#ifndef SUBBYTE_X86_COLUMNS_AVX2_MADD_H
#define SUBBYTE_X86_COLUMNS_AVX2_MADD_H

#include "x86_columns.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2_madd
#define SUBBYTE_WORDS 1
#include "x86_columns_body.h"

#endif  // SUBBYTE_X86_COLUMNS_AVX2_MADD_H
