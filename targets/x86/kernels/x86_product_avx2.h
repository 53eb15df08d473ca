// Matrix products of two run-time matrices of u8 codes by AVX2: vpmaddwd on codes less their zero points.

#ifndef SUBBYTE_X86_PRODUCT_AVX2_H
#define SUBBYTE_X86_PRODUCT_AVX2_H

#include "x86_product.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2
#define SUBBYTE_WORDS 1
#include "x86_product_body.h"

#endif  // SUBBYTE_X86_PRODUCT_AVX2_H
