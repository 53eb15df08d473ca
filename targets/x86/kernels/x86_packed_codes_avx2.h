// Tables and sums of codes that share bytes by AVX2.

#ifndef SUBBYTE_X86_PACKED_CODES_AVX2_H
#define SUBBYTE_X86_PACKED_CODES_AVX2_H

#include "x86_binary_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_packed_codes_body.h"

#endif  // SUBBYTE_X86_PACKED_CODES_AVX2_H
