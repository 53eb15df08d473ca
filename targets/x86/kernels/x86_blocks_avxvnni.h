// Matrix products with weights in blocks by AVX-VNNI: vpdpbusd, 32 products an instruction.

#ifndef SUBBYTE_X86_BLOCKS_AVXVNNI_H
#define SUBBYTE_X86_BLOCKS_AVXVNNI_H

#include "x86_blocks.h"
#include "x86_shared_bytes_avx2.h"

#if !defined(__AVXVNNI__)
#error "this file needs AVX-VNNI: compile with -mavxvnni"
#endif

#define SUBBYTE_ISA avx2
#define SUBBYTE_DOT avxvnni
#define SUBBYTE_WORDS 0
#include "x86_blocks_body.h"

#endif  // SUBBYTE_X86_BLOCKS_AVXVNNI_H
