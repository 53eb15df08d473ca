// Matrix products with weights in blocks on x86 (N10): geometry of the operands, read by x86_blocks_body.h.

#ifndef SUBBYTE_X86_BLOCKS_H
#define SUBBYTE_X86_BLOCKS_H

#include <emmintrin.h>

#include "subbyte_inline.h"
#include "subbyte_numerics.h"
#include "variant.h"
#include "x86_ahead.h"

// y [rows][columns] = sum over blocks, ascending, of f32(f32(sum of the block) * f32(s_a * s_b)).
//
// a: [rows][depth] bytes, signed after `flip` (0, or 128 where they are unsigned) is taken off. Codes of a block are read
// from scratch, where they have pads, flip is not 0, or the blocks are not whole multiples of 16: copied is 1.
// a_scale_step: from one scale of a to the next, or 0.
//
// Weights: panels of vectors * lanes columns, the last of last_vectors, a record for each block:
//   scales [vectors][lanes] float32, then
//   codes [groups][vectors][lanes][4] bytes, each with 8 / bits codes less the least one of their type: code p of byte j is
//   weight 4 * p + j of the group;
//   zero points [vectors][lanes] bytes where zeros is 2, filled up to whole registers;
//   terms [vectors][lanes] int32 where terms is not 0: what the zero point of a adds (1), or what each unit of it adds
//   where it is computed at run time (2).
// zeros: 1 where all codes have the one zero point `zero`, 0 where that is 0.
// run: groups whose products fit 16 bits, where the instruction adds there. A tile is `panels` panels of columns.
struct subbyte_x86_blocks {
    int32_t rows, columns, depth, block, bits, groups;
    int32_t vectors, last_vectors, row_tile, panels, run;
    int32_t flip, copied, a_scale_step, zeros, zero, terms;
};

// The most sums of a register tile; codes of a block of a begin at multiples of so many bytes.
enum { SUBBYTE_X86_BLOCK_SUMS = 32, SUBBYTE_X86_GRAIN = 16 };

SUBBYTE_INLINE int32_t subbyte_x86_count_of_blocks(const struct subbyte_x86_blocks* g) {
    return (g->depth + g->block - 1) / g->block;
}

// Bytes from one block of a to the next as the products read them.
SUBBYTE_INLINE int32_t subbyte_x86_block_pitch(const struct subbyte_x86_blocks* g) {
    return (g->block + SUBBYTE_X86_GRAIN - 1) / SUBBYTE_X86_GRAIN * SUBBYTE_X86_GRAIN;
}

// Codes of a block, signed, zeros behind them up to the pitch.
SUBBYTE_INLINE void subbyte_x86_copy_block(int8_t* to, const uint8_t* a, int32_t n,
                                           const struct subbyte_x86_blocks* g) {
    const int32_t pitch = subbyte_x86_block_pitch(g);
    const __m128i flip = _mm_set1_epi8((char)g->flip);
    int32_t k = 0;
    for (; k + 16 <= n; k += 16)
        _mm_storeu_si128((__m128i*)(to + k), _mm_xor_si128(_mm_loadu_si128((const __m128i*)(a + k)), flip));
    for (; k < n; ++k) to[k] = (int8_t)(a[k] ^ g->flip);
    for (; k < pitch; ++k) to[k] = 0;
}

// The sum of n signed codes, n a multiple of 16.
SUBBYTE_INLINE int32_t subbyte_x86_sum_of_codes(const int8_t* a, int32_t n) {
    const __m128i flip = _mm_set1_epi8((char)0x80);
    __m128i sums = _mm_setzero_si128();
    int32_t k;
    for (k = 0; k < n; k += 16) {
        const __m128i codes = _mm_xor_si128(_mm_loadu_si128((const __m128i*)(a + k)), flip);
        sums = _mm_add_epi32(sums, _mm_sad_epu8(codes, _mm_setzero_si128()));
    }
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 128 * n;
}

// scratch: [rows][blocks] sums of codes where zeros is not 0, then [rows][blocks][pitch] codes where copied is 1.
SUBBYTE_INLINE const int8_t* subbyte_x86_codes_of_blocks(const uint8_t* a, int32_t* sums,
                                                         const struct subbyte_x86_blocks* g) {
    const int32_t blocks = subbyte_x86_count_of_blocks(g), pitch = subbyte_x86_block_pitch(g);
    const int32_t pieces = g->rows * blocks;
    int8_t* copies = (int8_t*)(sums + (g->zeros ? pieces : 0));
    const int8_t* codes = g->copied ? copies : (const int8_t*)a;
    int32_t i;
    for (i = 0; i < pieces; ++i) {
        const int32_t first = i % blocks * g->block;
        if (g->copied)
            subbyte_x86_copy_block(copies + i * pitch, a + i / blocks * g->depth + first,
                                   subbyte_min_s32(g->depth - first, g->block), g);
        if (g->zeros) sums[i] = subbyte_x86_sum_of_codes(codes + i * pitch, pitch);
    }
    return codes;
}

#endif  // SUBBYTE_X86_BLOCKS_H
