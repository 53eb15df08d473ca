// Included by depthwise.h for each SUBBYTE_VALUE, SUBBYTE_WEIGHT and SUBBYTE_SUM.

#if !defined(SUBBYTE_VALUE) || !defined(SUBBYTE_WEIGHT) || !defined(SUBBYTE_SUM)
#error "depthwise_body.h is a part of depthwise.h"
#endif
#define SUBBYTE_DEPTHWISE SUBBYTE_OF_3(subbyte_depthwise_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_CENTRE SUBBYTE_OF(subbyte_centre_, SUBBYTE_VALUE)
#define SUBBYTE_STORE_SUMS SUBBYTE_OF(subbyte_store_sums_, SUBBYTE_SUM)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)
#define SUBBYTE_WEIGHT_T SUBBYTE_C_TYPE(SUBBYTE_WEIGHT)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)

// y[p][c] = result of bias[c] + sum over taps of (x - x_zero) * w[tap][c], channels == out_channels == group.
// w: [kernel_height][kernel_width][channels], less its zero point ("hwc"); bias may be null.
// Requires that every partial sum fits SUBBYTE_SUM. Tiles: output rows, images * out_height of them.
static inline void SUBBYTE_DEPTHWISE(const void* x, const SUBBYTE_WEIGHT_T* w, const SUBBYTE_SUM_T* bias,
                                     const float* multiplier, const float* shift, const void* steps,
                                     const int16_t* results, void* y, const struct subbyte_conv* g,
                                     const struct subbyte_epilogue* epilogue, int32_t begin, int32_t end) {
    SUBBYTE_SUM_T sums[SUBBYTE_BLOCK];
    SUBBYTE_VALUE_T values[SUBBYTE_BLOCK];
    int32_t row, column, channel, ky, kx, i;
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
                        const SUBBYTE_WEIGHT_T* weights = w + (ky * g->kernel_width + kx) * g->channels + channel;
                        if (in_x < 0) continue;
                        SUBBYTE_CENTRE(values, x, g->type, g->zero_point,
                                       (line * g->width + in_x) * g->channels + channel, n);
                        for (i = 0; i < n; ++i) sums[i] += (SUBBYTE_SUM_T)values[i] * weights[i];
                    }
                }
                SUBBYTE_STORE_SUMS(y, (row * g->out_width + column) * g->channels + channel, sums, n, epilogue,
                                   multiplier, shift, steps, results, channel);
            }
}

#undef SUBBYTE_DEPTHWISE
#undef SUBBYTE_STORE_SUMS
#undef SUBBYTE_CENTRE
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_WEIGHT_T
#undef SUBBYTE_SUM_T
#undef SUBBYTE_VALUE
#undef SUBBYTE_WEIGHT
#undef SUBBYTE_SUM
