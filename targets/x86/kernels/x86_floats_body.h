// Included for each register size by x86_floats_*.h: elementwise work on float32, each step rounded once (N8).
//
// Every function takes the steps of its namesake in subbyte_numerics.h, in their order; where that branches, both branches
// are computed and one is chosen.

#if !defined(SUBBYTE_ISA)
#error "x86_floats_body.h is a part of x86_floats_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define LANES V(SUBBYTE_LANES_)
#define SET V(subbyte_set_f32_)
#define ADD V(subbyte_add_f32_)
#define SUB V(subbyte_sub_f32_)
#define MUL V(subbyte_mul_f32_)
#define DIV V(subbyte_div_f32_)
#define CHOOSE V(subbyte_choose_f32_)
#define LESS V(subbyte_less_f32_)

// n <= LANES floats, 0 behind them.
SUBBYTE_INLINE FLOATS V(subbyte_x86_read_floats_)(const float* x, int32_t n) {
    return V(subbyte_reals_)(V(subbyte_load_part_)(x, 4 * n));
}

SUBBYTE_INLINE void V(subbyte_x86_write_floats_)(float* y, FLOATS v, int32_t n) {
    V(subbyte_store_part_)(y, V(subbyte_bits_)(v), 4 * n);
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_abs_)(FLOATS x) {
    return V(subbyte_reals_)(V(subbyte_and_)(V(subbyte_bits_)(x), V(subbyte_set_s32_)(0x7fffffff)));
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_neg_)(FLOATS x) {
    return V(subbyte_reals_)(V(subbyte_xor_)(V(subbyte_bits_)(x), V(subbyte_set_s32_)(INT32_MIN)));
}

// The magnitude of x with the sign of y.
SUBBYTE_INLINE FLOATS V(subbyte_x86_copysign_)(FLOATS x, FLOATS y) {
    const INTS sign = V(subbyte_and_)(V(subbyte_bits_)(y), V(subbyte_set_s32_)(INT32_MIN));
    return V(subbyte_reals_)(V(subbyte_xor_)(V(subbyte_bits_)(V(subbyte_x86_abs_)(x)), sign));
}

// f32(f32(p * x) + c).
SUBBYTE_INLINE FLOATS V(subbyte_x86_step_)(FLOATS p, FLOATS x, float c) { return ADD(MUL(p, x), SET(c)); }

SUBBYTE_INLINE FLOATS V(subbyte_x86_exp2i_)(INTS n) {
    return V(subbyte_reals_)(V(subbyte_shift_left_23_)(V(subbyte_add_s32_)(n, V(subbyte_set_s32_)(127))));
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_exp_)(FLOATS x) {
    const FLOATS clamped = V(subbyte_clamp_f32_)(x, -104.0f, 89.0f);
    const INTS n = V(subbyte_round_near_)(MUL(clamped, SET(0x1.715476p+0f))), half = V(subbyte_half_)(n);
    const FLOATS whole = V(subbyte_to_f32_)(n);
    FLOATS r = SUB(clamped, MUL(whole, SET(0x1.62e4p-1f))), p = SET(0x1.6a4154p-10f);
    r = SUB(r, MUL(whole, SET(0x1.7f7d1cp-20f)));
    p = V(subbyte_x86_step_)(p, r, 0x1.1239c6p-7f);
    p = V(subbyte_x86_step_)(p, r, 0x1.5558bcp-5f);
    p = V(subbyte_x86_step_)(p, r, 0x1.555492p-3f);
    p = V(subbyte_x86_step_)(p, r, 0x1.fffffcp-2f);
    r = ADD(ADD(MUL(MUL(r, r), p), r), SET(1.0f));
    r = MUL(MUL(r, V(subbyte_x86_exp2i_)(half)), V(subbyte_x86_exp2i_)(V(subbyte_sub_s32_)(n, half)));
    return CHOOSE(V(subbyte_is_nan_)(x), x, r);
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_erf_)(FLOATS x) {
    const FLOATS magnitude = V(subbyte_x86_abs_)(x), t = V(subbyte_clamp_f32_)(magnitude, 0.0f, 4.0f), z = MUL(x, x);
    FLOATS near = SET(0x1.4f4088p-14f), p = SET(0x1.7a1280p-17f);
    near = V(subbyte_x86_step_)(near, z, -0x1.a60296p-11f);
    near = V(subbyte_x86_step_)(near, z, 0x1.5449a6p-8f);
    near = V(subbyte_x86_step_)(near, z, -0x1.b80116p-6f);
    near = V(subbyte_x86_step_)(near, z, 0x1.ce2d64p-4f);
    near = V(subbyte_x86_step_)(near, z, -0x1.812740p-2f);
    near = V(subbyte_x86_step_)(near, z, 0x1.06eba8p-3f);
    near = ADD(MUL(near, x), x);
    p = V(subbyte_x86_step_)(p, t, -0x1.52dc3ap-12f);
    p = V(subbyte_x86_step_)(p, t, 0x1.dd9d12p-9f);
    p = V(subbyte_x86_step_)(p, t, -0x1.855dfcp-6f);
    p = V(subbyte_x86_step_)(p, t, 0x1.b32914p-4f);
    p = V(subbyte_x86_step_)(p, t, 0x1.453248p-1f);
    p = V(subbyte_x86_step_)(p, t, 0x1.20ef24p+0f);
    p = SUB(SET(1.0f), V(subbyte_x86_exp_)(V(subbyte_x86_neg_)(MUL(p, t))));
    p = CHOOSE(LESS(magnitude, SET(0.921875f)), near, V(subbyte_x86_copysign_)(p, x));
    return CHOOSE(V(subbyte_is_nan_)(x), x, p);
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_tanh_)(FLOATS x) {
    const FLOATS t = V(subbyte_x86_abs_)(x), z = MUL(x, x);
    FLOATS near = SET(-0x1.9957c8p-8f), p;
    near = V(subbyte_x86_step_)(near, z, 0x1.58ec9cp-6f);
    near = V(subbyte_x86_step_)(near, z, -0x1.b91f22p-5f);
    near = V(subbyte_x86_step_)(near, z, 0x1.110cf0p-3f);
    near = V(subbyte_x86_step_)(near, z, -0x1.55554ap-2f);
    near = ADD(MUL(MUL(near, z), x), x);
    p = ADD(V(subbyte_x86_exp_)(ADD(t, t)), SET(1.0f));
    p = V(subbyte_x86_copysign_)(SUB(SET(1.0f), DIV(SET(2.0f), p)), x);
    return CHOOSE(LESS(t, SET(0.55f)), near, p);
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_sigmoid_)(FLOATS x) {
    const FLOATS e = V(subbyte_x86_exp_)(V(subbyte_x86_neg_)(V(subbyte_x86_abs_)(x)));
    return DIV(CHOOSE(LESS(x, SET(0.0f)), e, SET(1.0f)), ADD(e, SET(1.0f)));
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_clip_)(FLOATS x, float low, float high) {
    x = CHOOSE(LESS(x, SET(low)), SET(low), x);
    return CHOOSE(LESS(SET(high), x), SET(high), x);
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_gelu_tanh_)(FLOATS x) {
    const FLOATS cube = MUL(MUL(MUL(SET(0.044715f), x), x), x);
    const FLOATS inner = MUL(ADD(cube, x), SET(0x1.988454p-1f));
    return MUL(MUL(x, SET(0.5f)), ADD(V(subbyte_x86_tanh_)(inner), SET(1.0f)));
}

SUBBYTE_INLINE FLOATS V(subbyte_x86_function_)(FLOATS x, int32_t function, float p, float q) {
    switch (function) {
        case SUBBYTE_X86_RELU:
            return CHOOSE(LESS(x, SET(0.0f)), SET(0.0f), x);
        case SUBBYTE_X86_LEAKY_RELU:
            return CHOOSE(LESS(x, SET(0.0f)), MUL(SET(p), x), x);
        case SUBBYTE_X86_CLIP:
            return V(subbyte_x86_clip_)(x, p, q);
        case SUBBYTE_X86_SIGMOID:
            return V(subbyte_x86_sigmoid_)(x);
        case SUBBYTE_X86_HARD_SIGMOID:
            return V(subbyte_x86_clip_)(ADD(MUL(SET(p), x), SET(q)), 0.0f, 1.0f);
        case SUBBYTE_X86_HARD_SWISH:
            return MUL(x, V(subbyte_x86_clip_)(ADD(MUL(SET(0x1.555556p-3f), x), SET(0.5f)), 0.0f, 1.0f));
        case SUBBYTE_X86_TANH:
            return V(subbyte_x86_tanh_)(x);
        case SUBBYTE_X86_GELU:
            return MUL(MUL(x, SET(0.5f)), ADD(V(subbyte_x86_erf_)(MUL(x, SET(0x1.6a09e6p-1f))), SET(1.0f)));
        case SUBBYTE_X86_GELU_TANH:
            return V(subbyte_x86_gelu_tanh_)(x);
        case SUBBYTE_X86_ERF:
            return V(subbyte_x86_erf_)(x);
        case SUBBYTE_X86_EXP:
            return V(subbyte_x86_exp_)(x);
        case SUBBYTE_X86_SQRT:
            return V(subbyte_sqrt_f32_)(x);
        case SUBBYTE_X86_RECIPROCAL:
            return DIV(SET(1.0f), x);
        case SUBBYTE_X86_NEG:
            return V(subbyte_x86_neg_)(x);
        default:
            return V(subbyte_x86_abs_)(x);
    }
}

// y = function(x); p and q: its parameters. Tiles: runs of `chunk` of n floats. y may be x. Requires chunk % LANES == 0.
SUBBYTE_INLINE void V(subbyte_x86_unary_f32_)(const float* x, float* y, int32_t function, float p, float q, int32_t n,
                                              int32_t chunk, int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * chunk, n);
    int32_t i;
    for (i = begin * chunk; i < stop; i += LANES) {
        const int32_t rest = subbyte_min_s32(stop - i, LANES);
        const FLOATS v = V(subbyte_x86_read_floats_)(x + i, rest);
        V(subbyte_x86_write_floats_)(y + i, V(subbyte_x86_function_)(v, function, p, q), rest);
    }
}

// y = a op b, broadcast as `span` says; strides of runs are 0 and 1. y may be a or b where that is not broadcast.
SUBBYTE_INLINE void V(subbyte_x86_binary_f32_)(const float* a, const float* b, float* y, int32_t operation,
                                               const struct subbyte_span* span, int32_t begin, int32_t end) {
    int32_t tile, i;
    for (tile = begin; tile < end; ++tile) {
        const struct subbyte_run run = subbyte_span_run(span, tile);
        for (i = 0; i < run.n; i += LANES) {
            const int32_t rest = subbyte_min_s32(run.n - i, LANES);
            const FLOATS left = run.a_stride ? V(subbyte_x86_read_floats_)(a + run.a + i, rest) : SET(a[run.a]);
            const FLOATS right = run.b_stride ? V(subbyte_x86_read_floats_)(b + run.b + i, rest) : SET(b[run.b]);
            const FLOATS result = operation == SUBBYTE_X86_FLOAT_ADD   ? ADD(left, right)
                                  : operation == SUBBYTE_X86_FLOAT_SUB ? SUB(left, right)
                                  : operation == SUBBYTE_X86_FLOAT_MUL ? MUL(left, right)
                                                                       : DIV(left, right);
            V(subbyte_x86_write_floats_)(y + run.y + i, result, rest);
        }
    }
}

// y = f32(f32(x - zero_point) * scale): N1 of 32-bit codes; x - zero_point fits 32 bits. scales, zero_points: [channels].
SUBBYTE_INLINE void V(subbyte_x86_dequantize_s32_)(const int32_t* x, float* y, const float* scales,
                                                   const int32_t* zero_points, const struct subbyte_x86_dequantize* g,
                                                   int32_t begin, int32_t end) {
    const int32_t stop = subbyte_min_s32(end * g->chunk, g->elements);
    const int32_t apart = g->inner == 1 && g->channels > 1;  // neighbours are of different channels
    int32_t i = begin * g->chunk, k;
    while (i < stop) {
        const int32_t channel = i / g->inner % g->channels;
        const int32_t run = apart ? g->channels - channel : g->inner - i % g->inner;
        const int32_t n = subbyte_min_s32(g->channels == 1 ? stop - i : run, stop - i);
        for (k = 0; k < n; k += LANES) {
            const int32_t rest = subbyte_min_s32(n - k, LANES);
            const INTS codes = V(subbyte_load_part_)(x + i + k, 4 * rest);
            const INTS zeros = apart ? V(subbyte_load_part_)(zero_points + channel + k, 4 * rest)
                                     : V(subbyte_set_s32_)(zero_points[channel]);
            const FLOATS factors =
                apart ? V(subbyte_x86_read_floats_)(scales + channel + k, rest) : SET(scales[channel]);
            V(subbyte_x86_write_floats_)(y + i + k, MUL(V(subbyte_to_f32_)(V(subbyte_sub_s32_)(codes, zeros)), factors),
                                         rest);
        }
        i += n;
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef LANES
#undef SET
#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef CHOOSE
#undef LESS
#undef SUBBYTE_ISA
