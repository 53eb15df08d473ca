// Matrix products with weights in blocks on 64-bit Arm (N10): exact sums of a block, then float32 as N10 says.
//
// 32-bit NEON has no IEEE float: it takes subnormals for zeros. So there is no such kernel for it.

#ifndef SUBBYTE_ARM_BLOCKS_H
#define SUBBYTE_ARM_BLOCKS_H

#include "arm_vector.h"
#include "subbyte_numerics.h"

#if !defined(__aarch64__)
#error "this file needs IEEE float32 in vectors: 64-bit Arm"
#endif

// y [rows][columns] = sum over blocks, ascending, of f32(f32(sum of the block) * f32(s_a * s_b)).
//
// a: [rows][depth] bytes, turned over by `flip` (0x80 where they are 0..255) to be signed. Codes are read in groups of 16, and
// from scratch where blocks are no multiples of it, or flip is not 0: copied is 1. a_scale_step: from one scale of a to the
// next, or 0.
//
// Weights: panels of vectors * 4 columns, the last of last_vectors, a record for each block:
//   scales [vectors][4] float32, then
//   codes [groups][vectors][4 columns][4] bytes, each with 8 / bits codes less the least one of their type, 128 more where bits
//   is 8, so that they are signed: code p of byte j is weight 4 * p + j of the group;
//   zero points [vectors][4] bytes where zeros is 2, filled up to whole registers, alike;
//   terms [vectors][4] int32 where terms is not 0: what the zero point of a adds (1), or what each unit of it adds where it is
//   computed at run time (2).
// zeros: 1 where all codes have the one zero point `zero`, 0 where that is 0. run: so many times 16 codes, whose products a lane
// of 16 bits holds, four of each 16; 0 where it does not. A tile is `panels` panels of columns, a register tile row_tile rows
// of one.
struct subbyte_arm_blocks {
    int32_t rows, columns, depth, block, bits, groups;
    int32_t vectors, last_vectors, row_tile, panels, run;
    int32_t flip, copied, a_scale_step, zeros, zero, terms;
};

enum { SUBBYTE_ARM_BLOCK_SUMS = 16, SUBBYTE_ARM_BLOCK_ROWS = 4 };  // of a register tile, at most

// The sums of a block: sums[m * vectors + v], for codes of rows at a + m * step.
typedef void subbyte_arm_block_sums(int32x4_t* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                    const struct subbyte_arm_blocks* g, int32_t rows, int32_t vectors);

SUBBYTE_INLINE int32_t subbyte_arm_count_of_blocks(const struct subbyte_arm_blocks* g) {
    return (g->depth + g->block - 1) / g->block;
}

// Bytes from one block of a to the next as they are multiplied.
SUBBYTE_INLINE int32_t subbyte_arm_block_pitch(const struct subbyte_arm_blocks* g) { return (g->block + 15) / 16 * 16; }

// Plane p of codes in bytes.
SUBBYTE_INLINE int8x16_t subbyte_arm_plane(uint8x16_t bytes, int32_t bits, int32_t p) {
    const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << bits) - 1));
    if (bits == 8) return vreinterpretq_s8_u8(bytes);
    if (p == 0) return vreinterpretq_s8_u8(vandq_u8(bytes, mask));
    if (bits == 4) return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
    if (p == 3) return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6));
    return vreinterpretq_s8_u8(vandq_u8(p == 1 ? vshrq_n_u8(bytes, 2) : vshrq_n_u8(bytes, 4), mask));
}

// Codes 4 * k to 4 * k + 3 of 16, in all lanes; k a constant.
SUBBYTE_INLINE int8x16_t subbyte_arm_repeat_quarter(int8x16_t x, int32_t k) {
    const int32x4_t words = vreinterpretq_s32_s8(x);
    switch (k) {
        case 0:
            return vreinterpretq_s8_s32(vdupq_laneq_s32(words, 0));
        case 1:
            return vreinterpretq_s8_s32(vdupq_laneq_s32(words, 1));
        case 2:
            return vreinterpretq_s8_s32(vdupq_laneq_s32(words, 2));
        default:
            return vreinterpretq_s8_s32(vdupq_laneq_s32(words, 3));
    }
}

// By smlal: products are added in 16 bits, pairs[2 * i] those of columns 0 and 1 of sum i, pairs[2 * i + 1] of 2 and 3.
SUBBYTE_INLINE void subbyte_arm_block_sums_neon(int32x4_t* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                                const struct subbyte_arm_blocks* g, int32_t rows, int32_t vectors) {
    const int32_t planes = 8 / g->bits, in_16 = 4 / planes;  // groups of 16 codes
    int32x4_t parts[2 * SUBBYTE_ARM_BLOCK_SUMS];
    int32_t left = g->groups, m, v, k, p;
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < 2 * vectors; ++v) parts[2 * m * vectors + v] = vdupq_n_s32(0);
    }
    while (left > 0) {
        const int32_t held = g->run ? g->run : 1;
        int16x8_t pairs[2 * SUBBYTE_ARM_BLOCK_SUMS];
        int32_t n;
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            SUBBYTE_UNROLL for (v = 0; v < 2 * vectors; ++v) pairs[2 * m * vectors + v] = vdupq_n_s16(0);
        }
        for (n = held; n > 0 && left > 0; --n, left -= in_16, a += 16) {
            int8x16_t of_a[SUBBYTE_ARM_BLOCK_ROWS];
            SUBBYTE_UNROLL for (m = 0; m < rows; ++m) of_a[m] = subbyte_arm_load_s8(a + m * step);
            SUBBYTE_UNROLL for (k = 0; k < in_16; ++k) {
                if (k >= left) continue;
                SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                    const uint8x16_t bytes = subbyte_arm_load_u8(w + v * SUBBYTE_ARM_BYTES);
                    SUBBYTE_UNROLL for (p = 0; p < planes; ++p) {
                        const int8x16_t codes = subbyte_arm_plane(bytes, g->bits, p);
                        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                            const int8x16_t quarter = subbyte_arm_repeat_quarter(of_a[m], k * planes + p);
                            const int32_t i = 2 * (m * vectors + v);
                            if (g->run) {
                                pairs[i] = subbyte_arm_multiply_add_low(pairs[i], codes, quarter);
                                pairs[i + 1] = subbyte_arm_multiply_add_high(pairs[i + 1], codes, quarter);
                            } else {
                                parts[i] = vpadalq_s16(parts[i], subbyte_arm_multiply_low(codes, quarter));
                                parts[i + 1] = vpadalq_s16(parts[i + 1], subbyte_arm_multiply_high(codes, quarter));
                            }
                        }
                    }
                }
                w += vectors * SUBBYTE_ARM_BYTES;
            }
        }
        if (!g->run) continue;
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            SUBBYTE_UNROLL for (v = 0; v < 2 * vectors; ++v) {
                parts[2 * m * vectors + v] = vpadalq_s16(parts[2 * m * vectors + v], pairs[2 * m * vectors + v]);
            }
        }
    }
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t i = m * vectors + v;
            sums[i] = vpaddq_s32(parts[2 * i], parts[2 * i + 1]);
        }
    }
}

#if defined(__ARM_FEATURE_DOTPROD)
SUBBYTE_INLINE int32x4_t subbyte_arm_dot_quarter(int32x4_t sum, int8x16_t w, int8x16_t a, int32_t k) {
    switch (k) {
        case 0:
            return vdotq_laneq_s32(sum, w, a, 0);
        case 1:
            return vdotq_laneq_s32(sum, w, a, 1);
        case 2:
            return vdotq_laneq_s32(sum, w, a, 2);
        default:
            return vdotq_laneq_s32(sum, w, a, 3);
    }
}

// Groups of up to 16 codes at a; returns the weights behind them.
SUBBYTE_INLINE const uint8_t* subbyte_arm_block_step(int32x4_t* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                                     const struct subbyte_arm_blocks* g, int32_t groups, int32_t rows,
                                                     int32_t vectors) {
    const int32_t planes = 8 / g->bits;
    int8x16_t of_a[SUBBYTE_ARM_BLOCK_ROWS];
    int32_t m, v, k, p;
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) of_a[m] = subbyte_arm_load_s8(a + m * step);
    SUBBYTE_UNROLL for (k = 0; k < groups; ++k) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const uint8x16_t bytes = subbyte_arm_load_u8(w + v * SUBBYTE_ARM_BYTES);
            SUBBYTE_UNROLL for (p = 0; p < planes; ++p) {
                const int8x16_t codes = subbyte_arm_plane(bytes, g->bits, p);
                SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
                    const int32_t i = m * vectors + v;
                    sums[i] = subbyte_arm_dot_quarter(sums[i], codes, of_a[m], k * planes + p);
                }
            }
        }
        w += vectors * SUBBYTE_ARM_BYTES;
    }
    return w;
}

// By sdot.
SUBBYTE_INLINE void subbyte_arm_block_sums_sdot(int32x4_t* sums, const int8_t* a, int32_t step, const uint8_t* w,
                                                const struct subbyte_arm_blocks* g, int32_t rows, int32_t vectors) {
    const int32_t in_16 = g->bits / 2;  // groups of 16 codes
    int32_t m, v, k;
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) sums[m * vectors + v] = vdupq_n_s32(0);
    }
    for (k = g->groups / in_16; k > 0; --k, a += 16)
        w = subbyte_arm_block_step(sums, a, step, w, g, in_16, rows, vectors);
    if (g->groups % in_16) subbyte_arm_block_step(sums, a, step, w, g, g->groups % in_16, rows, vectors);
}
#endif

// f32(a * b), never a part of a fused operation.
SUBBYTE_INLINE float32x4_t subbyte_arm_rounded_product(float32x4_t a, float32x4_t b) {
    float32x4_t product = vmulq_f32(a, b);
    SUBBYTE_BARRIER_NEON(product);
    return product;
}

// One register tile: `rows` rows of a, [blocks][pitch] codes each, with their scales, sums and zero point, by a panel.
SUBBYTE_INLINE void subbyte_arm_blocks_tile(const int8_t* a, const float* a_scales, int32_t a_zero,
                                            const int32_t* a_sums, const uint8_t* w, float* y,
                                            const struct subbyte_arm_blocks* g, int32_t rows, int32_t vectors,
                                            int32_t columns, subbyte_arm_block_sums* multiply) {
    const int32_t blocks = subbyte_arm_count_of_blocks(g), pitch = subbyte_arm_block_pitch(g);
    const int32_t scales = vectors * SUBBYTE_ARM_BYTES, codes = g->groups * scales;
    const int32_t zeros = g->zeros == 2 ? (vectors + 3) / 4 * SUBBYTE_ARM_BYTES : 0, terms = g->terms ? scales : 0;
    float32x4_t totals[SUBBYTE_ARM_BLOCK_SUMS];
    int32x4_t sums[SUBBYTE_ARM_BLOCK_SUMS];
    int32_t block, m, v;
    SUBBYTE_UNROLL for (m = 0; m < rows * vectors; ++m) totals[m] = vdupq_n_f32(-0.0f);  // -0.0 + x is x
    for (block = 0; block < blocks; ++block) {
        multiply(sums, a + block * pitch, blocks * pitch, w + scales, g, rows, vectors);
        SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
            const float32x4_t a_scale = vdupq_n_f32(a_scales[(m * blocks + block) * g->a_scale_step]);
            const int32_t of_codes = g->zeros ? a_sums[m * blocks + block] : 0;
            SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
                const float32x4_t scale =
                    subbyte_arm_rounded_product(a_scale, vld1q_f32((const float*)(const void*)(w + v * 16)));
                int32x4_t sum = sums[m * vectors + v];
                if (g->zeros == 1) sum = vsubq_s32(sum, vdupq_n_s32(g->zero * of_codes));
                if (g->zeros == 2) {
                    int32_t four;
                    int16x8_t wide;
                    memcpy(&four, w + scales + codes + v * 4, sizeof four);
                    wide = g->bits == 8 ? vmovl_s8(vcreate_s8((uint32_t)four))
                                        : vreinterpretq_s16_u16(vmovl_u8(vcreate_u8((uint32_t)four)));
                    sum = vmlsq_s32(sum, vmovl_s16(vget_low_s16(wide)), vdupq_n_s32(of_codes));
                }
                if (g->terms) {
                    const int32x4_t term =
                        vld1q_s32((const int32_t*)(const void*)(w + scales + codes + zeros + v * 16));
                    sum = g->terms == 2 ? vmlaq_s32(sum, term, vdupq_n_s32(a_zero)) : vaddq_s32(sum, term);
                }
                totals[m * vectors + v] =
                    vaddq_f32(totals[m * vectors + v], subbyte_arm_rounded_product(vcvtq_f32_s32(sum), scale));
            }
        }
        w += scales + codes + zeros + terms;
    }
    SUBBYTE_UNROLL for (m = 0; m < rows; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            subbyte_arm_store_part(y + m * g->columns + v * 4, vreinterpretq_u8_f32(totals[m * vectors + v]),
                                   4 * subbyte_min_s32(4, columns - v * 4));
        }
    }
}

// All rows by one panel.
SUBBYTE_INLINE void subbyte_arm_blocks_panel(const int8_t* a, const float* a_scales, int32_t a_zero,
                                             const int32_t* a_sums, const uint8_t* w, float* y,
                                             const struct subbyte_arm_blocks* g, int32_t vectors, int32_t columns,
                                             subbyte_arm_block_sums* multiply) {
    const int32_t blocks = subbyte_arm_count_of_blocks(g), row_bytes = blocks * subbyte_arm_block_pitch(g);
    const int32_t rest = g->rows % g->row_tile;
    int32_t m;
    for (m = 0; m + g->row_tile <= g->rows; m += g->row_tile)
        subbyte_arm_blocks_tile(a + m * row_bytes, a_scales + m * blocks * g->a_scale_step, a_zero, a_sums + m * blocks,
                                w, y + m * g->columns, g, g->row_tile, vectors, columns, multiply);
    if (rest)
        subbyte_arm_blocks_tile(a + m * row_bytes, a_scales + m * blocks * g->a_scale_step, a_zero, a_sums + m * blocks,
                                w, y + m * g->columns, g, rest, vectors, columns, multiply);
}

// Codes of a as they are multiplied, [rows][blocks][pitch]: a itself, or behind the sums in scratch; and where they are needed
// the sums of each block, [rows][blocks] at the start of scratch.
SUBBYTE_INLINE const int8_t* subbyte_arm_codes_of_blocks(const uint8_t* a, void* scratch,
                                                         const struct subbyte_arm_blocks* g) {
    const int32_t blocks = subbyte_arm_count_of_blocks(g), pitch = subbyte_arm_block_pitch(g), count = g->rows * blocks;
    int32_t* sums = (int32_t*)scratch;
    int8_t* copies = (int8_t*)(void*)(sums + (g->zeros ? count : 0));
    int32_t i, k;
    if (!g->copied && !g->zeros) return (const int8_t*)a;
    for (i = 0; i < count; ++i) {
        const int32_t first = i % blocks * g->block, n = subbyte_min_s32(g->depth - first, g->block);
        const uint8_t* from = a + (ptrdiff_t)(i / blocks) * g->depth + first;
        const int8_t* codes = (const int8_t*)from;
        if (g->copied) {
            uint8_t* to = (uint8_t*)copies + i * pitch;
            subbyte_arm_copy(to, from, n, g->flip);
            for (k = n; k < pitch; ++k) to[k] = 0;
            codes = (const int8_t*)to;
        }
        if (g->zeros) {
            int32x4_t sum = vdupq_n_s32(0);
            for (k = 0; k < pitch; k += 16) sum = vpadalq_s16(sum, vpaddlq_s8(subbyte_arm_load_s8(codes + k)));
            sums[i] = vaddvq_s32(sum);
        }
    }
    return g->copied ? copies : (const int8_t*)a;
}

SUBBYTE_INLINE void subbyte_arm_gemm_blocks(const void* a, const float* a_scales, const void* a_zero,
                                            const uint8_t* weights, float* y, const struct subbyte_arm_blocks* g,
                                            int32_t begin, int32_t end, void* scratch,
                                            subbyte_arm_block_sums* multiply) {
    const int32_t blocks = subbyte_arm_count_of_blocks(g), wide = 4 * g->vectors, full = g->columns / wide;
    const int32_t record = g->vectors * SUBBYTE_ARM_BYTES * (1 + g->groups + (g->terms ? 1 : 0)) +
                           (g->zeros == 2 ? (g->vectors + 3) / 4 * SUBBYTE_ARM_BYTES : 0);
    const int32_t last = full + (g->columns % wide ? 1 : 0), stop = subbyte_min_s32(end * g->panels, last);
    const int32_t zero = a_zero ? (int8_t)(*(const uint8_t*)a_zero ^ g->flip) : 0;
    const int8_t* codes = subbyte_arm_codes_of_blocks((const uint8_t*)a, scratch, g);
    const int32_t* sums = (const int32_t*)scratch;
    int32_t panel;
    for (panel = begin * g->panels; panel < subbyte_min_s32(stop, full); ++panel)
        subbyte_arm_blocks_panel(codes, a_scales, zero, sums, weights + (ptrdiff_t)panel * blocks * record,
                                 y + panel * wide, g, g->vectors, wide, multiply);
    if (panel < stop)
        subbyte_arm_blocks_panel(codes, a_scales, zero, sums, weights + (ptrdiff_t)panel * blocks * record,
                                 y + panel * wide, g, g->last_vectors, g->columns % wide, multiply);
}

// a_zero: the zero point of a where it is computed at run time, else null. Tiles: g->panels panels of columns. scratch: see
// subbyte_arm_codes_of_blocks.
SUBBYTE_INLINE void subbyte_arm_gemm_blocks_neon(const void* a, const float* a_scales, const void* a_zero,
                                                 const uint8_t* weights, float* y, const struct subbyte_arm_blocks* g,
                                                 int32_t begin, int32_t end, void* scratch) {
    subbyte_arm_gemm_blocks(a, a_scales, a_zero, weights, y, g, begin, end, scratch, subbyte_arm_block_sums_neon);
}

#if defined(__ARM_FEATURE_DOTPROD)
SUBBYTE_INLINE void subbyte_arm_gemm_blocks_sdot(const void* a, const float* a_scales, const void* a_zero,
                                                 const uint8_t* weights, float* y, const struct subbyte_arm_blocks* g,
                                                 int32_t begin, int32_t end, void* scratch) {
    subbyte_arm_gemm_blocks(a, a_scales, a_zero, weights, y, g, begin, end, scratch, subbyte_arm_block_sums_sdot);
}
#endif

// Codes -127..127 of blocks of rows, scale = largest |x| / 127, 1 where that is 0; NaN is left out. Tiles: rows.
SUBBYTE_INLINE void subbyte_arm_quantize_blocks(const float* x, int8_t* y, float* scales, int32_t depth, int32_t block,
                                                int32_t begin, int32_t end) {
    const int32_t blocks = (depth + block - 1) / block;
    int32_t piece, k;
    for (piece = begin * blocks; piece < end * blocks; ++piece) {
        const int32_t first = piece % blocks * block, n = subbyte_min_s32(depth - first, block);
        const float* from = x + (ptrdiff_t)(piece / blocks) * depth + first;
        int8_t* to = y + (ptrdiff_t)(piece / blocks) * depth + first;
        float32x4_t four = vdupq_n_f32(0.0f);
        float largest, scale;
        for (k = 0; k + 4 <= n; k += 4) {
            const float32x4_t magnitudes = vabsq_f32(vld1q_f32(from + k));
            four = vbslq_f32(vcgtq_f32(magnitudes, four), magnitudes, four);
        }
        largest = vmaxvq_f32(four);
        for (; k < n; ++k) {
            const float magnitude = subbyte_abs_f32(from[k]);
            largest = magnitude > largest ? magnitude : largest;
        }
        scale = subbyte_div_f32(largest, 127.0f);
        scale = scale == 0.0f ? 1.0f : scale;
        for (k = 0; k + 4 <= n; k += 4) {
            const float32x4_t steps = vdivq_f32(vld1q_f32(from + k), vdupq_n_f32(scale));
            const int32x4_t low = vdupq_n_s32(-127);  // what NaN becomes
            const int32x4_t rounded = vbslq_s32(vceqq_f32(steps, steps), vcvtnq_s32_f32(steps), low);
            const int32x4_t codes = vminq_s32(vmaxq_s32(rounded, low), vdupq_n_s32(127));
            const int8x8_t bytes = vmovn_s16(vcombine_s16(vmovn_s32(codes), vdup_n_s16(0)));
            const uint32_t word = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
            memcpy(to + k, &word, sizeof word);
        }
        for (; k < n; ++k) to[k] = (int8_t)subbyte_quantize_f32(from[k], scale, 0, -127, 127);
        scales[piece] = scale;
    }
}

#endif  // SUBBYTE_ARM_BLOCKS_H
