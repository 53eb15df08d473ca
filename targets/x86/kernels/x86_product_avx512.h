// Matrix products of two run-time matrices of u8 codes by AVX-512 BW: vpmaddwd on codes less their zero points.

#ifndef SUBBYTE_X86_PRODUCT_AVX512_H
#define SUBBYTE_X86_PRODUCT_AVX512_H

#include "x86_product.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512
#define SUBBYTE_WORDS 1
#include "x86_product_body.h"

#endif  // SUBBYTE_X86_PRODUCT_AVX512_H
