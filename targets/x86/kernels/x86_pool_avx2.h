// Pools of codes, channels last by AVX2.

#ifndef SUBBYTE_X86_POOL_AVX2_H
#define SUBBYTE_X86_POOL_AVX2_H

#include "x86_pool.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_pool_body.h"

#endif  // SUBBYTE_X86_POOL_AVX2_H
