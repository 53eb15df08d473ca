// Matrix products of two run-time matrices of u8 codes by AVX512-VNNI: vpdpbusd on bytes.

#ifndef SUBBYTE_X86_PRODUCT_AVX512VNNI_H
#define SUBBYTE_X86_PRODUCT_AVX512VNNI_H

#include "x86_product.h"
#include "x86_vector_avx512.h"

#if !defined(__AVX512VNNI__)
#error "this file needs AVX512-VNNI: compile with -mavx512vnni"
#endif

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512vnni
#define SUBBYTE_WORDS 0
#include "x86_product_body.h"

#endif  // SUBBYTE_X86_PRODUCT_AVX512VNNI_H
