// From exact sums to results: N4 per channel or per tensor, by thresholds, or the sum itself; then perhaps a table.

#ifndef SUBBYTE_EPILOGUE_H
#define SUBBYTE_EPILOGUE_H

#include "codes.h"

// The arrays beside this struct, each null where it is not needed: multiplier and shift hold one entry per channel, or one
// in all (shift is N4's B); steps hold `count` ascending thresholds instead, [count][rows] in 16 or 32 bits, rows the channels
// or 1, and the code is then qmin and one more for each that the sum has reached; results hold `entries` results, per channel
// or once, for the codes from qmin up. Without multiplier and steps the result is the sum itself, in 32 or 64 bits.
struct subbyte_epilogue {
    int32_t type;  // of the result
    int32_t per_channel;
    int32_t zero_point, qmin, qmax;
    int32_t count, rows, short_steps;
    int32_t entries, results_per_channel;
};

// codes[i] = the result for the code codes[i], of channel + i.
SUBBYTE_ONE_COPY void subbyte_look_up_results(int32_t* codes, int32_t n, const struct subbyte_epilogue* e,
                                              const int16_t* results, int32_t channel) {
    int32_t i;
    for (i = 0; i < n; ++i)
        codes[i] = results[(e->results_per_channel ? (channel + i) * e->entries : 0) + codes[i] - e->qmin];
}

// codes[i] = the code of sums[i], of channel + i, by thresholds; n <= SUBBYTE_BLOCK.
SUBBYTE_ONE_COPY void subbyte_count_codes(int32_t* codes, const int32_t* sums, int32_t n,
                                          const struct subbyte_epilogue* e, const void* steps, int32_t channel) {
    const int32_t first = e->rows == 1 ? 0 : channel;
    int32_t i;
    if (e->short_steps)
        subbyte_count_steps_of_s16(codes, sums, n, (const int16_t*)steps + first, e->rows, e->count);
    else
        subbyte_count_steps_of_s32(codes, sums, n, (const int32_t*)steps + first, e->rows, e->count);
    for (i = 0; i < n; ++i) codes[i] += e->qmin;
}

// y[at + i] = the result of sums[i], whose channel is channel + i; n <= SUBBYTE_BLOCK.
SUBBYTE_ONE_COPY void subbyte_store_sums_s32(void* y, int32_t at, const int32_t* sums, int32_t n,
                                             const struct subbyte_epilogue* e, const float* multiplier,
                                             const float* shift, const void* steps, const int16_t* results,
                                             int32_t channel) {
    int32_t codes[SUBBYTE_BLOCK], i;
    if (!multiplier && !steps && e->type == SUBBYTE_TYPE_S64) {
        for (i = 0; i < n; ++i) ((int64_t*)y)[at + i] = sums[i];
        return;
    }
    if (steps) subbyte_count_codes(codes, sums, n, e, steps, channel);
    for (i = 0; i < n && !steps; ++i) {
        const int32_t k = e->per_channel ? channel + i : 0;
        if (!multiplier)
            codes[i] = sums[i];
        else if (shift)
            codes[i] = subbyte_requantize_shift_s32(sums[i], multiplier[k], shift[k], e->zero_point, e->qmin, e->qmax);
        else
            codes[i] = subbyte_requantize_s32(sums[i], multiplier[k], e->zero_point, e->qmin, e->qmax);
    }
    if (results) subbyte_look_up_results(codes, n, e, results, channel);
    subbyte_store_codes(y, e->type, at, codes, n);
}

// The same for 64-bit sums; a result of 32 bits is the sum modulo 2^32. Thresholds need sums that are proved to fit int32.
SUBBYTE_ONE_COPY void subbyte_store_sums_s64(void* y, int32_t at, const int64_t* sums, int32_t n,
                                             const struct subbyte_epilogue* e, const float* multiplier,
                                             const float* shift, const void* steps, const int16_t* results,
                                             int32_t channel) {
    int32_t codes[SUBBYTE_BLOCK], i;
    if (steps) {
        for (i = 0; i < n; ++i) codes[i] = (int32_t)sums[i];
        subbyte_store_sums_s32(y, at, codes, n, e, multiplier, shift, steps, results, channel);
        return;
    }
    if (!multiplier && e->type == SUBBYTE_TYPE_S64) {
        memcpy((int64_t*)y + at, sums, (size_t)n * sizeof(int64_t));
        return;
    }
    for (i = 0; i < n; ++i) {
        const int32_t k = e->per_channel ? channel + i : 0;
        if (!multiplier)
            codes[i] = (int32_t)(uint32_t)(uint64_t)sums[i];
        else if (shift)
            codes[i] = subbyte_requantize_shift_s64(sums[i], multiplier[k], shift[k], e->zero_point, e->qmin, e->qmax);
        else
            codes[i] = subbyte_requantize_s64(sums[i], multiplier[k], e->zero_point, e->qmin, e->qmax);
    }
    if (results) subbyte_look_up_results(codes, n, e, results, channel);
    subbyte_store_codes(y, e->type, at, codes, n);
}

#endif  // SUBBYTE_EPILOGUE_H
