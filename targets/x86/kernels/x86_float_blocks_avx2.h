// Floats times weights in blocks by AVX2, in the tree of 8 lanes.

#ifndef SUBBYTE_X86_FLOAT_BLOCKS_AVX2_H
#define SUBBYTE_X86_FLOAT_BLOCKS_AVX2_H

#include "x86_ahead.h"
#include "x86_float_blocks.h"
#include "x86_shared_bytes_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_float_blocks_body.h"

#endif  // SUBBYTE_X86_FLOAT_BLOCKS_AVX2_H
