// Softmax of rows of u8 codes by AVX-512 BW: exponentials summed one at a time, results looked up 16 distances at a time.

#ifndef SUBBYTE_X86_SOFTMAX_AVX512_H
#define SUBBYTE_X86_SOFTMAX_AVX512_H

#include "x86_softmax.h"
#include "x86_softmax_terms.h"
#include "x86_softmax_vector_avx512.h"
#include "x86_tables_avx512.h"

#define SUBBYTE_ISA avx512
#define SUBBYTE_SOFTMAX avx512
#define SUBBYTE_SOFTMAX_TERM uint64_t
#define subbyte_x86_softmax_total_avx512 subbyte_x86_softmax_total
#define subbyte_x86_softmax_pick_avx512(results, reach, distances) \
    subbyte_x86_pick_avx512(results, (reach) / 16, distances)
#include "x86_softmax_body.h"

#endif  // SUBBYTE_X86_SOFTMAX_AVX512_H
