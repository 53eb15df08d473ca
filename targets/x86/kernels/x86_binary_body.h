// Included for each instruction set by x86_binary_*.h: sums, differences and products of two tensors of codes, N6.

#if !defined(SUBBYTE_ISA)
#error "x86_binary_body.h is a part of x86_binary_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))
#define LANES V(SUBBYTE_LANES_)

// The rounded steps of one vector; a and b: codes, widened.
SUBBYTE_INLINE INTS V(subbyte_x86_binary_steps_)(INTS a, INTS b, const struct subbyte_x86_binary* g) {
    const FLOATS a_scale = V(subbyte_set_f32_)(g->a_scale), b_scale = V(subbyte_set_f32_)(g->b_scale);
    FLOATS left, right;
    if (g->form == SUBBYTE_X86_LINEAR) {
        right = V(subbyte_fma_f32_)(V(subbyte_to_f32_)(b), b_scale, V(subbyte_set_f32_)(g->constant));
        return V(subbyte_round_near_)(V(subbyte_fma_f32_)(V(subbyte_to_f32_)(a), a_scale, right));
    }
    left = V(subbyte_to_f32_)(V(subbyte_sub_s32_)(a, V(subbyte_set_s32_)(g->a_zero)));
    right = V(subbyte_to_f32_)(V(subbyte_sub_s32_)(b, V(subbyte_set_s32_)(g->b_zero)));
    if (g->form == SUBBYTE_X86_PRODUCT)
        return V(subbyte_round_near_)(
            V(subbyte_mul_f32_)(V(subbyte_mul_f32_)(left, right), V(subbyte_set_f32_)(g->constant)));
    left = V(subbyte_mul_f32_)(left, a_scale);
    right = V(subbyte_mul_f32_)(right, b_scale);
    if (g->form == SUBBYTE_X86_ADD)
        left = V(subbyte_add_f32_)(left, right);
    else if (g->form == SUBBYTE_X86_SUBTRACT)
        left = V(subbyte_sub_f32_)(left, right);
    else
        left = V(subbyte_mul_f32_)(left, right);
    if (g->reciprocal) return V(subbyte_round_near_)(V(subbyte_mul_f32_)(left, V(subbyte_set_f32_)(g->y_scale)));
    return V(subbyte_round_)(V(subbyte_div_f32_)(left, V(subbyte_set_f32_)(g->y_scale)));
}

// BLOCK results. An operand with stride 0 is one code for all.
SUBBYTE_INLINE INTS V(subbyte_x86_binary_block_)(const uint8_t* a, const uint8_t* b, int32_t a_stride, int32_t b_stride,
                                                 const struct subbyte_x86_binary* g) {
    INTS steps[4];
    int32_t i;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        const INTS left = a_stride ? V(subbyte_load_u8_as_s32_)(a + i * LANES) : V(subbyte_set_s32_)(*a);
        const INTS right = b_stride ? V(subbyte_load_u8_as_s32_)(b + i * LANES) : V(subbyte_set_s32_)(*b);
        steps[i] = V(subbyte_x86_binary_steps_)(left, right, g);
    }
    return V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax);
}

// y = a op b, broadcast as `span` says. y may be a or b where that is not broadcast.
SUBBYTE_INLINE void V(subbyte_x86_binary_u8u8u8_)(const uint8_t* a, const uint8_t* b, uint8_t* y,
                                                  const struct subbyte_x86_binary* g, const struct subbyte_span* span,
                                                  int32_t begin, int32_t end) {
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i + BLOCK <= run.n; i += BLOCK)
            V(subbyte_store_)(y + run.y + i,
                              V(subbyte_x86_binary_block_)(a + run.a + i * run.a_stride, b + run.b + i * run.b_stride,
                                                           run.a_stride, run.b_stride, g));
        if (i < run.n) {
            const int32_t rest = run.n - i;
            uint8_t left[BLOCK], right[BLOCK];
            V(subbyte_store_)(left, V(subbyte_load_part_)(a + run.a + i * run.a_stride, run.a_stride ? rest : 1));
            V(subbyte_store_)(right, V(subbyte_load_part_)(b + run.b + i * run.b_stride, run.b_stride ? rest : 1));
            V(subbyte_store_part_)(y + run.y + i,
                                   V(subbyte_x86_binary_block_)(left, right, run.a_stride, run.b_stride, g), rest);
        }
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef BLOCK
#undef LANES
#undef SUBBYTE_ISA
