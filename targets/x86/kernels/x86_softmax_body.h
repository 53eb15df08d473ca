// Included for each instruction set by x86_softmax_*.h: softmax of rows of u8 codes (N7).
//
// The result depends on the distance to the largest code of the row alone: it is made once for each distance that may have
// one, then looked up. e / (sum of e * scale) is taken in float32, and rounded where its error cannot matter.
// Before: SUBBYTE_ISA (registers), SUBBYTE_SOFTMAX (the kernel's suffix), and under that suffix
//   subbyte_x86_softmax_total_: the sum of a row's exponentials, exact;
//   subbyte_x86_softmax_pick_: results[distance] for each byte, 0 from g->reach on.

#if !defined(SUBBYTE_ISA) || !defined(SUBBYTE_SOFTMAX)
#error "x86_softmax_body.h is a part of x86_softmax_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_SOFTMAX)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))

SUBBYTE_INLINE int32_t F(subbyte_x86_softmax_largest_)(const uint8_t* codes, int32_t extent) {
    INTS largest = V(subbyte_load_part_)(codes, subbyte_min_s32(extent, BLOCK));
    int32_t i;
    for (i = BLOCK; i < extent; i += BLOCK)
        largest = V(subbyte_max_u8_)(largest, V(subbyte_load_part_)(codes + i, subbyte_min_s32(extent - i, BLOCK)));
    return V(subbyte_largest_u8_)(largest);
}

// results[d], less the code of 0, for d = 0 to g->reach - 1. Returns whether one of them is not sure.
SUBBYTE_INLINE int32_t F(subbyte_x86_softmax_results_)(uint8_t* results, const float* exponentials, float share,
                                                       const struct subbyte_x86_softmax* g) {
    const FLOATS shares = V(subbyte_set_f32_)(share), above = V(subbyte_set_f32_)(SUBBYTE_X86_SOFTMAX_ABOVE);
    INTS steps[4], unsure = V(subbyte_zero_)();
    int32_t first, v;
    for (first = 0; first < g->reach; first += BLOCK) {
        if (first > 0 && exponentials[first] * share < 0.49f) {  // and so are all that follow
            V(subbyte_store_)(results + first, V(subbyte_zero_)());
            continue;
        }
        SUBBYTE_UNROLL for (v = 0; v < 4; ++v) {
            const FLOATS e = V(subbyte_load_f32_)(exponentials + first + v * LANES);
            const FLOATS product = V(subbyte_mul_f32_)(e, shares);
            steps[v] = V(subbyte_round_near_)(product);
            unsure = V(subbyte_differ_)(unsure, steps[v], V(subbyte_round_near_)(V(subbyte_mul_f32_)(product, above)));
        }
        V(subbyte_store_)(results + first,
                          V(subbyte_sub_u8_)(V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero,
                                                                    g->qmin, g->qmax),
                                             V(subbyte_set_u8_)(g->none)));
    }
    return V(subbyte_any_bit_)(unsure);
}

// y = clamp(rne(e / (sum of e * scale)) + zero, qmin, qmax), e = table[largest x - x]. table: 256 exponentials in Q31;
// exponentials: the same as floats; terms: the same as the sum reads them. Tiles: rows of g->extent codes.
SUBBYTE_INLINE void F(subbyte_x86_softmax_u8_)(const uint8_t* x, uint8_t* y, const uint32_t* table,
                                               const float* exponentials, const SUBBYTE_SOFTMAX_TERM* terms,
                                               const struct subbyte_x86_softmax* g, int32_t begin, int32_t end) {
    const double inverse =
        (double)(((uint64_t)(uint32_t)g->m_high << 16) + (uint64_t)(uint32_t)g->m_low) / (double)((uint64_t)1 << g->k);
    const INTS none = V(subbyte_set_u8_)(g->none);
    int32_t row, i;
    for (row = begin; row < end; ++row) {
        const uint8_t* codes = x + row * g->extent;
        uint8_t* to = y + row * g->extent;
        uint8_t results[256];
        const int32_t largest = F(subbyte_x86_softmax_largest_)(codes, g->extent);
        const uint64_t total = F(subbyte_x86_softmax_total_)(codes, g->extent, largest, terms);
        const float share = (float)(inverse * SUBBYTE_X86_SOFTMAX_BELOW / (double)(int64_t)total);
        const INTS highest = V(subbyte_set_u8_)(largest);
        if (F(subbyte_x86_softmax_results_)(results, exponentials, share, g))
            subbyte_x86_softmax_ties(results, exponentials, table, share, total, g);
        for (i = 0; i < g->extent; i += BLOCK) {
            const int32_t n = subbyte_min_s32(g->extent - i, BLOCK);
            const INTS distances = V(subbyte_sub_u8_)(highest, V(subbyte_load_part_)(codes + i, n));
            const INTS picked = F(subbyte_x86_softmax_pick_)(results, g->reach, distances);
            V(subbyte_store_part_)(to + i, V(subbyte_add_u8_)(picked, none), n);
        }
    }
}

#undef V
#undef F
#undef LANES
#undef INTS
#undef FLOATS
#undef BLOCK
#undef SUBBYTE_ISA
#undef SUBBYTE_SOFTMAX
#undef SUBBYTE_SOFTMAX_TERM
