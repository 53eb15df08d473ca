// Part of the bodies that sum products: what becomes of a register tile of sums, N4 and the stores.
//
// Before: SUBBYTE_ISA, SUBBYTE_DOT and the shorthands V, F, LANES, INTS and FLOATS of x86_sums_body.h.

// The sums of a register tile to codes: y[m * g->outputs + i] for `outputs` values of i, at most vectors * LANES. The codes
// have g->y_bits bits in memory, and those of a pixel fill whole bytes; y is the byte of the first.
SUBBYTE_INLINE void F(subbyte_x86_requantize_)(uint8_t* y, const INTS* sums, const struct subbyte_x86_parameters* p,
                                               const struct subbyte_x86_conv* g, int32_t vectors, int32_t outputs) {
    const int32_t total = g->pixels * vectors;
    const int32_t pitch = g->outputs * g->y_bits / 8, chunk = LANES * g->y_bits / 8;  // bytes of a pixel, of a vector
    int32_t first, i;
    SUBBYTE_UNROLL for (first = 0; first < total; first += 4) {
        INTS steps[4], codes;
        uint8_t* to = y + first / vectors * pitch + first % vectors * chunk;
        SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
            const int32_t at = subbyte_min_s32(first + i, total - 1);
            const int32_t channel = at % vectors * LANES;
            const FLOATS multiplier = V(subbyte_load_f32_)(p->multiplier + channel);
            if (p->shift)
                steps[i] = V(subbyte_scale_shift_)(sums[at], multiplier, V(subbyte_load_f32_)(p->shift + channel));
            else if (g->wide)
                steps[i] = V(subbyte_scale_wide_)(sums[at], multiplier);
            else
                steps[i] = V(subbyte_scale_)(sums[at], multiplier);
        }
        codes = V(subbyte_pack_codes_)(steps[0], steps[1], steps[2], steps[3], g->y_zero, g->qmin, g->qmax);
        codes = V(subbyte_join_codes_)(codes, g->y_bits);
        if (first + 4 <= total &&
            ((vectors == 1 && g->outputs == LANES) || (vectors % 4 == 0 && outputs % (4 * LANES) == 0))) {
            V(subbyte_store_bytes_)(to, codes, 0, 4 * chunk);  // four vectors that are neighbours in memory
        } else if (vectors == 2 && outputs == 2 * LANES) {
            V(subbyte_store_bytes_)(to, codes, 0, 2 * chunk);
            if (first + 4 <= total) V(subbyte_store_bytes_)(to + pitch, codes, 2 * chunk, 2 * chunk);
        } else {
            SUBBYTE_UNROLL for (i = 0; i < 4; ++i) {
                const int32_t m = (first + i) / vectors, v = (first + i) % vectors;
                const int32_t rest = subbyte_min_s32(outputs - v * LANES, LANES);
                if (first + i >= total || rest <= 0) continue;
                if (g->y_bits == 8)
                    V(subbyte_store_chunk_)(y + m * pitch + v * chunk, codes, i, rest);
                else
                    V(subbyte_store_bytes_)(y + m * pitch + v * chunk, codes, i * chunk, rest * g->y_bits / 8);
            }
        }
    }
}

// The sums of a register tile themselves, 32 bits: y[m * g->outputs + i].
SUBBYTE_INLINE void F(subbyte_x86_store_sums_)(int32_t* y, const INTS* sums, const struct subbyte_x86_conv* g,
                                               int32_t vectors, int32_t outputs) {
    int32_t m, v;
    SUBBYTE_UNROLL for (m = 0; m < g->pixels; ++m) {
        SUBBYTE_UNROLL for (v = 0; v < vectors; ++v) {
            const int32_t rest = subbyte_min_s32(outputs - v * LANES, LANES);
            if (rest > 0) V(subbyte_store_s32_)(y + m * g->outputs + v * LANES, sums[m * vectors + v], rest);
        }
    }
}
