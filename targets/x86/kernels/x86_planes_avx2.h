// Planes of floats to pixels of codes, and back, by AVX2.

#ifndef SUBBYTE_X86_PLANES_AVX2_H
#define SUBBYTE_X86_PLANES_AVX2_H

#include "x86_planes.h"
#include "x86_vector_avx2.h"

#define SUBBYTE_ISA avx2
#include "x86_planes_body.h"

#endif  // SUBBYTE_X86_PLANES_AVX2_H
