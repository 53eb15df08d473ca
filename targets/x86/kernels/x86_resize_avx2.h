// Linear interpolation of codes by AVX2.

#ifndef SUBBYTE_X86_RESIZE_AVX2_H
#define SUBBYTE_X86_RESIZE_AVX2_H

#include "x86_resize.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_resize_body.h"

#endif  // SUBBYTE_X86_RESIZE_AVX2_H
