// Matrix products of two run-time matrices of u8 codes by AVX-VNNI: vpdpbusd on bytes.

#ifndef SUBBYTE_X86_PRODUCT_AVXVNNI_H
#define SUBBYTE_X86_PRODUCT_AVXVNNI_H

#include "x86_product.h"
#include "x86_vector_avx2.h"

#if !defined(__AVXVNNI__)
#error "this file needs AVX-VNNI: compile with -mavxvnni"
#endif

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avxvnni
#define SUBBYTE_WORDS 0
#include "x86_product_body.h"

#endif  // SUBBYTE_X86_PRODUCT_AVXVNNI_H
