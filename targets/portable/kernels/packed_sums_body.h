// Included by packed_sums.h for each SUBBYTE_VALUE and SUBBYTE_SUM.

#if !defined(SUBBYTE_VALUE) || !defined(SUBBYTE_SUM)
#error "packed_sums_body.h is a part of packed_sums.h"
#endif
#define SUBBYTE_PACKED_CONV SUBBYTE_OF_3(subbyte_packed_conv_, SUBBYTE_VALUE, s8, SUBBYTE_SUM)
#define SUBBYTE_PACKED_DEPTHWISE SUBBYTE_OF_3(subbyte_packed_depthwise_, SUBBYTE_VALUE, s8, SUBBYTE_SUM)
#define SUBBYTE_PACKED_GEMM SUBBYTE_OF_3(subbyte_packed_gemm_, SUBBYTE_VALUE, s8, SUBBYTE_SUM)
#define SUBBYTE_DOTS SUBBYTE_OF_3(subbyte_dots_, SUBBYTE_VALUE, s8, SUBBYTE_SUM)
#define SUBBYTE_WINDOW SUBBYTE_OF(subbyte_window_, SUBBYTE_VALUE)
#define SUBBYTE_CENTRE SUBBYTE_OF(subbyte_centre_, SUBBYTE_VALUE)
#define SUBBYTE_STORE_SUMS SUBBYTE_OF(subbyte_store_sums_, SUBBYTE_SUM)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)

// As subbyte_conv_VALUE_s8_SUM of conv.h. w: [out_channels] rows of kernel_height * kernel_width * (channels / group).
// scratch: one window of SUBBYTE_VALUE, then SUBBYTE_FILTERS filters of s8.
static inline void SUBBYTE_PACKED_CONV(const void* x, const uint8_t* w, const int8_t* table, const SUBBYTE_SUM_T* bias,
                                       const float* multiplier, const float* shift, const void* steps,
                                       const int16_t* results, void* y, const struct subbyte_packing* p,
                                       const struct subbyte_conv* g, const struct subbyte_epilogue* epilogue,
                                       int32_t begin, int32_t end, void* scratch) {
    const int32_t depth = g->kernel_height * g->kernel_width * (g->channels / g->group);
    const int32_t outputs = g->out_channels / g->group;
    const size_t row_bytes = subbyte_packed_row(depth, p->bits);
    SUBBYTE_VALUE_T* window = (SUBBYTE_VALUE_T*)scratch;
    int8_t* filters = (int8_t*)(window + depth);
    int32_t row, column, group, done;
    for (row = begin; row < end; ++row)
        for (group = 0; group < g->group; ++group)
            for (done = 0; done < outputs; done += SUBBYTE_FILTERS) {
                const int32_t n = subbyte_smaller(outputs - done, SUBBYTE_FILTERS), first = group * outputs + done;
                subbyte_unpack_rows(filters, w + (size_t)first * row_bytes, n, depth, p, table);
                for (column = 0; column < g->out_width; ++column) {
                    SUBBYTE_WINDOW(window, x, g, row, column, group);
                    SUBBYTE_DOTS(window, filters, depth, bias, multiplier, shift, steps, results, y, epilogue,
                                 (row * g->out_width + column) * g->out_channels + first, first, n);
                }
            }
}

// As subbyte_depthwise_VALUE_s8_SUM of depthwise.h. w: [kernel_height * kernel_width] rows of channels.
// scratch: kernel_height * kernel_width rows of SUBBYTE_BLOCK weights of s8.
static inline void SUBBYTE_PACKED_DEPTHWISE(const void* x, const uint8_t* w, const int8_t* table,
                                            const SUBBYTE_SUM_T* bias, const float* multiplier, const float* shift,
                                            const void* steps, const int16_t* results, void* y,
                                            const struct subbyte_packing* p, const struct subbyte_conv* g,
                                            const struct subbyte_epilogue* epilogue, int32_t begin, int32_t end,
                                            void* scratch) {
    const int32_t taps = g->kernel_height * g->kernel_width;
    const size_t row_bytes = subbyte_packed_row(g->channels, p->bits);
    int8_t* filters = (int8_t*)scratch;
    SUBBYTE_SUM_T sums[SUBBYTE_BLOCK];
    SUBBYTE_VALUE_T values[SUBBYTE_BLOCK];
    int32_t row, column, channel, tap, i;
    for (row = begin; row < end; ++row)
        for (channel = 0; channel < g->channels; channel += SUBBYTE_BLOCK) {
            const int32_t n = subbyte_smaller(g->channels - channel, SUBBYTE_BLOCK);
            const uint8_t* block = w + channel / 8 * p->bits;  // whole bytes, as a block has 64 codes
            for (tap = 0; tap < taps; ++tap)
                subbyte_unpack_weights(filters + tap * SUBBYTE_BLOCK, block + (size_t)tap * row_bytes, n, p, table);
            for (column = 0; column < g->out_width; ++column) {
                for (i = 0; i < n; ++i) sums[i] = bias ? bias[channel + i] : 0;
                for (tap = 0; tap < taps; ++tap) {
                    const int32_t in_y = subbyte_tap_y(g, row % g->out_height, tap / g->kernel_width);
                    const int32_t in_x = subbyte_tap_x(g, column, tap % g->kernel_width);
                    const int32_t line = row / g->out_height * g->height + in_y;
                    const int8_t* weights = filters + tap * SUBBYTE_BLOCK;
                    if (in_y < 0 || in_x < 0) continue;
                    SUBBYTE_CENTRE(values, x, g->type, g->zero_point, (line * g->width + in_x) * g->channels + channel,
                                   n);
                    for (i = 0; i < n; ++i) sums[i] += (SUBBYTE_SUM_T)values[i] * weights[i];
                }
                SUBBYTE_STORE_SUMS(y, (row * g->out_width + column) * g->channels + channel, sums, n, epilogue,
                                   multiplier, shift, steps, results, channel);
            }
        }
}

// As subbyte_gemm_VALUE_s8_SUM of gemm.h. b: [matrices * columns] rows of depth.
// Tiles: batches times blocks of SUBBYTE_FILTERS columns. scratch: one row of a in SUBBYTE_VALUE, then SUBBYTE_FILTERS
// columns of b in s8.
static inline void SUBBYTE_PACKED_GEMM(const void* a, const uint8_t* b, const int8_t* table, const SUBBYTE_SUM_T* bias,
                                       const float* multiplier, const float* shift, const void* steps,
                                       const int16_t* results, void* y, const int32_t* a_of, const int32_t* b_of,
                                       const struct subbyte_packing* p, const struct subbyte_gemm* g,
                                       const struct subbyte_epilogue* epilogue, int32_t begin, int32_t end,
                                       void* scratch) {
    const int32_t blocks = (g->columns + SUBBYTE_FILTERS - 1) / SUBBYTE_FILTERS;
    const size_t row_bytes = subbyte_packed_row(g->depth, p->bits);
    SUBBYTE_VALUE_T* values = (SUBBYTE_VALUE_T*)scratch;
    int8_t* filters = (int8_t*)(values + g->depth);
    int32_t tile, row;
    for (tile = begin; tile < end; ++tile) {
        const int32_t batch = tile / blocks, column = tile % blocks * SUBBYTE_FILTERS;
        const int32_t n = subbyte_smaller(g->columns - column, SUBBYTE_FILTERS);
        subbyte_unpack_rows(filters, b + (size_t)(b_of[batch] * g->columns + column) * row_bytes, n, g->depth, p,
                            table);
        for (row = 0; row < g->rows; ++row) {
            SUBBYTE_CENTRE(values, a, g->a_type, g->a_zero, (a_of[batch] * g->rows + row) * g->depth, g->depth);
            SUBBYTE_DOTS(values, filters, g->depth, bias, multiplier, shift, steps, results, y, epilogue,
                         (batch * g->rows + row) * g->columns + column, column, n);
        }
    }
}

#undef SUBBYTE_PACKED_CONV
#undef SUBBYTE_PACKED_DEPTHWISE
#undef SUBBYTE_PACKED_GEMM
#undef SUBBYTE_DOTS
#undef SUBBYTE_WINDOW
#undef SUBBYTE_CENTRE
#undef SUBBYTE_STORE_SUMS
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_SUM_T
#undef SUBBYTE_VALUE
#undef SUBBYTE_SUM
