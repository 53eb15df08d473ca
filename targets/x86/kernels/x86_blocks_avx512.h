// Matrix products with weights in blocks by AVX-512 BW: vpmaddubsw, summed in 16 bits as long as that is exact.

#ifndef SUBBYTE_X86_BLOCKS_AVX512_H
#define SUBBYTE_X86_BLOCKS_AVX512_H

#include "x86_blocks.h"
#include "x86_shared_bytes_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512
#define SUBBYTE_WORDS 1
#include "x86_blocks_body.h"

#endif  // SUBBYTE_X86_BLOCKS_AVX512_H
