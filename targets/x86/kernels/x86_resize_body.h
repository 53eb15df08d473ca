// Included for each instruction set by x86_resize_*.h: linear interpolation of codes, N6.

#if !defined(SUBBYTE_ISA)
#error "x86_resize_body.h is a part of x86_resize_*.h"
#endif
#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#define BLOCK ((int32_t)sizeof(INTS))
#define LANES V(SUBBYTE_LANES_)

// BLOCK codes between the corners, which are from[0], from[1], ...
SUBBYTE_INLINE INTS V(subbyte_x86_resize_block_)(const uint8_t* const* from, const float* weight,
                                                 const struct subbyte_x86_resize* g) {
    const FLOATS x_scale = V(subbyte_set_f32_)(g->x_scale), y_scale = V(subbyte_set_f32_)(g->y_scale);
    INTS steps[4];
    int32_t i, k, corner;
    SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
        FLOATS reals[1 << SUBBYTE_X86_RESIZED];
        SUBBYTE_UNROLL for (corner = 0; corner < 1 << g->count; ++corner) {
            const INTS codes = V(subbyte_load_u8_as_s32_)(from[corner] + i * LANES);
            reals[corner] = V(subbyte_mul_f32_)(
                V(subbyte_to_f32_)(V(subbyte_sub_s32_)(codes, V(subbyte_set_s32_)(g->x_zero))), x_scale);
        }
        SUBBYTE_UNROLL for (k = 0; k < g->count; ++k) {
            const FLOATS rest = V(subbyte_set_f32_)(subbyte_sub_f32(1.0f, weight[k]));
            const FLOATS own = V(subbyte_set_f32_)(weight[k]);
            SUBBYTE_UNROLL for (corner = 0; corner < 1 << g->count; corner += 2 << k) reals[corner] =
                V(subbyte_add_f32_)(V(subbyte_mul_f32_)(rest, reals[corner]),
                                    V(subbyte_mul_f32_)(own, reals[corner + (1 << k)]));
        }
        steps[i] = V(subbyte_round_)(V(subbyte_div_f32_)(reals[0], y_scale));
    }
    return V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax);
}

// y = x interpolated. Tiles: the product of all extents but the last.
SUBBYTE_INLINE void V(subbyte_x86_resize_linear_u8_)(const uint8_t* x, uint8_t* y, const int32_t* lower,
                                                     const int32_t* upper, const float* weights,
                                                     const struct subbyte_x86_resize* g, int32_t begin, int32_t end) {
    const int32_t last = g->extents[SUBBYTE_X86_RESIZE_AXES - 1];
    int32_t pixel, done, corner;
    for (pixel = begin * last; pixel < end * last; ++pixel) {
        const struct subbyte_x86_corners corners = subbyte_x86_corners(lower, upper, weights, g, pixel);
        const uint8_t* from[1 << SUBBYTE_X86_RESIZED];
        for (done = 0; done + BLOCK <= g->run; done += BLOCK) {
            SUBBYTE_UNROLL for (corner = 0; corner < 1 << g->count; ++corner) from[corner] =
                x + corners.at[corner] + done;
            V(subbyte_store_)(y + pixel * g->run + done, V(subbyte_x86_resize_block_)(from, corners.weight, g));
        }
        if (done < g->run) {
            uint8_t few[(1 << SUBBYTE_X86_RESIZED) * BLOCK];
            SUBBYTE_UNROLL for (corner = 0; corner < 1 << g->count; ++corner) {
                V(subbyte_store_)(few + corner * BLOCK,
                                  V(subbyte_load_part_)(x + corners.at[corner] + done, g->run - done));
                from[corner] = few + corner * BLOCK;
            }
            V(subbyte_store_part_)(y + pixel * g->run + done, V(subbyte_x86_resize_block_)(from, corners.weight, g),
                                   g->run - done);
        }
    }
}

#undef V
#undef INTS
#undef FLOATS
#undef BLOCK
#undef LANES
#undef SUBBYTE_ISA
