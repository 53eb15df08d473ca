// Pools of codes, channels last by AVX-512 BW.

#ifndef SUBBYTE_X86_POOL_AVX512_H
#define SUBBYTE_X86_POOL_AVX512_H

#include "x86_pool.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_pool_body.h"

#endif  // SUBBYTE_X86_POOL_AVX512_H
