// Tables and sums of codes that share bytes by AVX-512 BW.

#ifndef SUBBYTE_X86_PACKED_CODES_AVX512_H
#define SUBBYTE_X86_PACKED_CODES_AVX512_H

#include "x86_binary_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_packed_codes_body.h"

#endif  // SUBBYTE_X86_PACKED_CODES_AVX512_H
