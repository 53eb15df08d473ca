// Linear interpolation of codes by AVX-512.

#ifndef SUBBYTE_X86_RESIZE_AVX512_H
#define SUBBYTE_X86_RESIZE_AVX512_H

#include "x86_resize.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_resize_body.h"

#endif  // SUBBYTE_X86_RESIZE_AVX512_H
