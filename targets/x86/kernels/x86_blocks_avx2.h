// Matrix products with weights in blocks by AVX2: vpmaddubsw, summed in 16 bits as long as that is exact.

#ifndef SUBBYTE_X86_BLOCKS_AVX2_H
#define SUBBYTE_X86_BLOCKS_AVX2_H

#include "x86_blocks.h"
#include "x86_shared_bytes_avx2.h"

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avx2
#define SUBBYTE_WORDS 1
#include "x86_blocks_body.h"

#endif  // SUBBYTE_X86_BLOCKS_AVX2_H
