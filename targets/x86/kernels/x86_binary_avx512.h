// Sums, differences and products of two tensors of codes by AVX-512 BW.

#ifndef SUBBYTE_X86_BINARY_AVX512_H
#define SUBBYTE_X86_BINARY_AVX512_H

#include "x86_binary.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_binary_body.h"

#endif  // SUBBYTE_X86_BINARY_AVX512_H
