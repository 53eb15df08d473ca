// Depthwise convolutions of u8 codes by columns of the window, weights held as s16: vpmaddwd by AVX-512 BW.

#ifndef SUBBYTE_X86_COLUMNS_AVX512_MADD_H
#define SUBBYTE_X86_COLUMNS_AVX512_MADD_H

#include "x86_columns.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512_madd
#define SUBBYTE_WORDS 1
#include "x86_columns_body.h"

#endif  // SUBBYTE_X86_COLUMNS_AVX512_MADD_H
