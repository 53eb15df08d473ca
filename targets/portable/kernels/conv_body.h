// Included by conv.h for each SUBBYTE_VALUE, SUBBYTE_WEIGHT and SUBBYTE_SUM.

#if !defined(SUBBYTE_VALUE) || !defined(SUBBYTE_WEIGHT) || !defined(SUBBYTE_SUM)
#error "conv_body.h is a part of conv.h"
#endif
#define SUBBYTE_CONV SUBBYTE_OF_3(subbyte_conv_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_DOTS SUBBYTE_OF_3(subbyte_dots_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)
#define SUBBYTE_WEIGHT_T SUBBYTE_C_TYPE(SUBBYTE_WEIGHT)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)
#define SUBBYTE_WINDOW SUBBYTE_OF(subbyte_window_, SUBBYTE_VALUE)

// Convolution, transposed or not: y = result of bias + sum (x - x_zero) * w over each window.
// w: [out_channels][kernel_height][kernel_width][channels / group], less its zero point ("ohwi").
// Tiles: output rows, images * out_height of them. scratch: one window of SUBBYTE_VALUE.
static inline void SUBBYTE_CONV(const void* x, const SUBBYTE_WEIGHT_T* w, const SUBBYTE_SUM_T* bias,
                                const float* multiplier, const float* shift, const void* steps, const int16_t* results,
                                void* y, const struct subbyte_conv* g, const struct subbyte_epilogue* epilogue,
                                int32_t begin, int32_t end, void* scratch) {
    SUBBYTE_VALUE_T* window = (SUBBYTE_VALUE_T*)scratch;
    const int32_t depth = g->kernel_height * g->kernel_width * (g->channels / g->group);
    const int32_t outputs = g->out_channels / g->group;
    int32_t row, column, group;
    for (row = begin; row < end; ++row)
        for (column = 0; column < g->out_width; ++column)
            for (group = 0; group < g->group; ++group) {
                const int32_t first = group * outputs, pixel = row * g->out_width + column;
                SUBBYTE_WINDOW(window, x, g, row, column, group);
                SUBBYTE_DOTS(window, w + first * depth, depth, bias, multiplier, shift, steps, results, y, epilogue,
                             pixel * g->out_channels + first, first, outputs);
            }
}

#undef SUBBYTE_WINDOW
#undef SUBBYTE_CONV
#undef SUBBYTE_DOTS
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_WEIGHT_T
#undef SUBBYTE_SUM_T
#undef SUBBYTE_VALUE
#undef SUBBYTE_WEIGHT
#undef SUBBYTE_SUM
