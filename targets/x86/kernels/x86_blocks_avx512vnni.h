// Matrix products with weights in blocks by AVX512-VNNI: vpdpbusd, 64 products an instruction.

#ifndef SUBBYTE_X86_BLOCKS_AVX512VNNI_H
#define SUBBYTE_X86_BLOCKS_AVX512VNNI_H

#include "x86_blocks.h"
#include "x86_shared_bytes_avx512.h"

#if !defined(__AVX512VNNI__)
#error "this file needs AVX512-VNNI: compile with -mavx512vnni"
#endif

#define SUBBYTE_ISA avx512
#define SUBBYTE_DOT avx512vnni
#define SUBBYTE_WORDS 0
#include "x86_blocks_body.h"

#endif  // SUBBYTE_X86_BLOCKS_AVX512VNNI_H
