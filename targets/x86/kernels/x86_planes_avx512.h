// Planes of floats to pixels of codes, and back, by AVX-512.

#ifndef SUBBYTE_X86_PLANES_AVX512_H
#define SUBBYTE_X86_PLANES_AVX512_H

#include "x86_planes.h"
#include "x86_vector_avx512.h"

#define SUBBYTE_ISA avx512
#include "x86_planes_body.h"

#endif  // SUBBYTE_X86_PLANES_AVX512_H
