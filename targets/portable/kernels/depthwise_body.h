// Included by depthwise.h for SUBBYTE_SUM s32 and s64.

#if !defined(SUBBYTE_SUM)
#error "depthwise_body.h is a part of depthwise.h"
#endif
#define SUBBYTE_DEPTHWISE SUBBYTE_OF(subbyte_depthwise_, SUBBYTE_SUM)
#define SUBBYTE_STORE_SUMS SUBBYTE_OF(subbyte_store_sums_, SUBBYTE_SUM)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)

// y[p][c] = result of bias[c] + sum over taps of (x - x_zero) * w[tap][c], channels == out_channels == group.
// w: [kernel_height][kernel_width][channels] of weight_type, less its zero point ("hwc"); bias may be null.
// Requires that every partial sum fits SUBBYTE_SUM. Tiles: output rows, images * out_height of them.
static inline void SUBBYTE_DEPTHWISE(const void* x, const void* w, int32_t weight_type, const SUBBYTE_SUM_T* bias,
                                     const float* multiplier, const float* shift, void* y, const struct subbyte_conv* g,
                                     const struct subbyte_epilogue* epilogue, int32_t begin, int32_t end) {
    SUBBYTE_SUM_T sums[SUBBYTE_BLOCK];
    int32_t values[SUBBYTE_BLOCK], weights[SUBBYTE_BLOCK], row, column, channel, ky, kx, i;
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column)
            for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
                const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
                for (i = 0; i < n; ++i) sums[i] = bias ? bias[channel + i] : 0;
                for (ky = 0; ky < g->kernel_height; ++ky) {
                    const int32_t in_y = subbyte_tap_y(g, row % g->out_height, ky);
                    if (in_y < 0) continue;
                    for (kx = 0; kx < g->kernel_width; ++kx) {
                        const int32_t in_x = subbyte_tap_x(g, column, kx);
                        const int32_t line = row / g->out_height * g->height + in_y;
                        if (in_x < 0) continue;
                        subbyte_load_codes(values, x, g->type, (line * g->width + in_x) * g->channels + channel, 1, n,
                                           g->zero_point);
                        subbyte_load_codes(weights, w, weight_type, (ky * g->kernel_width + kx) * g->channels + channel,
                                           1, n, 0);
                        for (i = 0; i < n; ++i) sums[i] += (SUBBYTE_SUM_T)values[i] * weights[i];
                    }
                }
                SUBBYTE_STORE_SUMS(y, (row * g->out_width + column) * g->channels + channel, sums, n, epilogue,
                                   multiplier, shift, channel);
            }
}

#undef SUBBYTE_DEPTHWISE
#undef SUBBYTE_STORE_SUMS
#undef SUBBYTE_SUM_T
#undef SUBBYTE_SUM
