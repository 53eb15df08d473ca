// Included by dots.h for each SUBBYTE_VALUE, SUBBYTE_WEIGHT and SUBBYTE_SUM.

#if !defined(SUBBYTE_VALUE) || !defined(SUBBYTE_WEIGHT) || !defined(SUBBYTE_SUM)
#error "dots_body.h is a part of dots.h"
#endif
#define SUBBYTE_DOTS SUBBYTE_OF_3(subbyte_dots_, SUBBYTE_VALUE, SUBBYTE_WEIGHT, SUBBYTE_SUM)
#define SUBBYTE_VALUE_T SUBBYTE_C_TYPE(SUBBYTE_VALUE)
#define SUBBYTE_WEIGHT_T SUBBYTE_C_TYPE(SUBBYTE_WEIGHT)
#define SUBBYTE_SUM_T SUBBYTE_C_TYPE(SUBBYTE_SUM)
#define SUBBYTE_STORE_SUMS SUBBYTE_OF(subbyte_store_sums_, SUBBYTE_SUM)

// y[at + o] = the result of bias[o] + sum over k < depth of a[k] * w[o * depth + k], for o < n; their first channel, of
// bias, multiplier and shift, is `channel`. bias may be null. Requires that every partial sum fits SUBBYTE_SUM. With
// SUBBYTE_RUN, so many products are summed in 32 bits, which hold them whatever they are, before they are added to the sum.
static inline void SUBBYTE_DOTS(const SUBBYTE_VALUE_T* a, const SUBBYTE_WEIGHT_T* w, int32_t depth,
                                const SUBBYTE_SUM_T* bias, const float* multiplier, const float* shift,
                                const void* steps, const int16_t* results, void* y,
                                const struct subbyte_epilogue* epilogue, int32_t at, int32_t channel, int32_t n) {
    SUBBYTE_SUM_T sums[SUBBYTE_BLOCK];
    int32_t done, o, k;
    for (done = 0; done < n; done += SUBBYTE_BLOCK) {
        const int32_t block = subbyte_smaller(n - done, SUBBYTE_BLOCK);
        for (o = 0; o < block; ++o, w += depth) {
            SUBBYTE_SUM_T sum = bias ? bias[channel + done + o] : 0;
#ifdef SUBBYTE_RUN
            for (k = 0; k < depth;) {
                const int32_t stop = k + subbyte_smaller(depth - k, SUBBYTE_RUN);
                int32_t partial = 0;
                for (; k < stop; ++k) partial += a[k] * w[k];
                sum += partial;
            }
#else
            for (k = 0; k < depth; ++k) sum += (SUBBYTE_SUM_T)a[k] * w[k];
#endif
            sums[o] = sum;
        }
        SUBBYTE_STORE_SUMS(y, at + done, sums, block, epilogue, multiplier, shift, steps, results, channel + done);
    }
}

#undef SUBBYTE_RUN
#undef SUBBYTE_STORE_SUMS
#undef SUBBYTE_DOTS
#undef SUBBYTE_VALUE_T
#undef SUBBYTE_WEIGHT_T
#undef SUBBYTE_SUM_T
#undef SUBBYTE_VALUE
#undef SUBBYTE_WEIGHT
#undef SUBBYTE_SUM
