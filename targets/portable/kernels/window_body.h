// Included by window.h for SUBBYTE_VALUE s16 and s32.

#if !defined(SUBBYTE_VALUE)
#error "window_body.h is a part of window.h"
#endif
#define SUBBYTE_CENTRE SUBBYTE_OF(subbyte_centre_, SUBBYTE_VALUE)
#define SUBBYTE_WINDOW SUBBYTE_OF(subbyte_window_, SUBBYTE_VALUE)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)

// window = [kernel_height][kernel_width][channels / group] of output pixel (row, column), row = image * out_height + y.
static inline void SUBBYTE_WINDOW(SUBBYTE_VALUE_T* window, const void* x, const struct subbyte_conv* g, int32_t row,
                                  int32_t column, int32_t group) {
    const int32_t depth = g->channels / g->group, image = row / g->out_height, out_y = row % g->out_height;
    const int32_t left = column * g->stride_width - g->pad_left;
    const int32_t joined = !g->transposed && g->group == 1 && g->dilation_width == 1;  // taps of a row are neighbours
    int32_t ky, kx;
    memset(window, 0, (size_t)(g->kernel_height * g->kernel_width * depth) * sizeof *window);
    for (ky = 0; ky < g->kernel_height; ++ky, window += g->kernel_width * depth) {
        const int32_t y = subbyte_tap_y(g, out_y, ky), line = (image * g->height + y) * g->width;
        if (y < 0) continue;
        if (joined) {
            const int32_t begin = left < 0 ? -left : 0, end = subbyte_smaller(g->kernel_width, g->width - left);
            if (begin < end)
                SUBBYTE_CENTRE(window + begin * depth, x, g->type, g->zero_point, (line + left + begin) * depth,
                               (end - begin) * depth);
            continue;
        }
        for (kx = 0; kx < g->kernel_width; ++kx) {
            const int32_t at = subbyte_tap_x(g, column, kx);
            if (at >= 0)
                SUBBYTE_CENTRE(window + kx * depth, x, g->type, g->zero_point,
                               (line + at) * g->channels + group * depth, depth);
        }
    }
}

#undef SUBBYTE_CENTRE
#undef SUBBYTE_WINDOW
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_VALUE
