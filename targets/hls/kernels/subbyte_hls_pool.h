// The largest code, or the sum, of each channel: of windows and of whole frames.
//
//   max   y[c] = max over pixels p of x[p][c]
//   sum   y[c] = steps(bias + sum over pixels p of x[p][c])
//
//   window_max, window_sum   x: windows in the order CHANNELS: for each word of channels a word for each of TAPS
//                            iteration (pixel, fold, tap) reads a word; tap TAPS - 1 writes word `fold` of y
//   global_max, global_sum   x: PIXELS pixels; y: one
//                            iteration (pixel, fold) reads a word; those of the last pixel write word `fold`
//
// Words have LANES codes of CHANNELS; X_BITS and X_SIGN are of a code. FOLDS words make a pixel; lanes that fill up the
// last of them do not count in x and are 0 in y. Every sum on the way to the last one fits SUM_BITS;
// steps.apply<lane>(sum, fold): the bits of y.
#ifndef SUBBYTE_HLS_POOL_H_
#define SUBBYTE_HLS_POOL_H_

#include "subbyte_hls.h"
#include "subbyte_hls_products.h"

namespace subbyte_hls {

// The larger of two codes.
template <int BITS, int SIGN>
ap_uint<BITS> larger_code(const ap_uint<BITS>& a, const ap_uint<BITS>& b) {
#pragma HLS INLINE
    return Codes<BITS, SIGN>::decode(a) < Codes<BITS, SIGN>::decode(b) ? b : a;
}

// Lane by lane the larger codes of two words; lanes from `live` on are 0.
template <int LANES, int X_BITS, int X_SIGN>
ap_uint<LANES * X_BITS> larger_codes(const ap_uint<LANES * X_BITS>& a, const ap_uint<LANES * X_BITS>& b, int live) {
#pragma HLS INLINE
    ap_uint<LANES * X_BITS> best = 0;
    for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        if (lane < live) {
            set_lane<X_BITS>(best, lane,
                             larger_code<X_BITS, X_SIGN>(get_lane<X_BITS>(a, lane), get_lane<X_BITS>(b, lane)));
        }
    }
    return best;
}

template <int PIXELS, int TAPS, int CHANNELS, int LANES, int X_BITS, int X_SIGN>
void window_max(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * X_BITS> >& y) {
    const int FOLDS = ceil_div(CHANNELS, LANES);
    const int LIVE = CHANNELS - (FOLDS - 1) * LANES;
    ap_uint<LANES * X_BITS> best = 0;
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int fold = 0; fold < FOLDS; ++fold) {
            for (int tap = 0; tap < TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
                SUBBYTE_CYCLE();
                const ap_uint<LANES * X_BITS> codes = x.read();
                const int live = fold == FOLDS - 1 ? LIVE : LANES;
                best = larger_codes<LANES, X_BITS, X_SIGN>(tap == 0 ? codes : best, codes, live);
                if (tap == TAPS - 1) y.write(best);
            }
        }
    }
}

// BIAS: what zero points add to each sum.
template <int PIXELS, int TAPS, int CHANNELS, int LANES, int X_BITS, int X_SIGN, int SUM_BITS, long long BIAS,
          int Y_BITS, class Steps>
void window_sum(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * Y_BITS> >& y,
                const Steps& steps) {
    const int FOLDS = ceil_div(CHANNELS, LANES);
    const int LIVE = CHANNELS - (FOLDS - 1) * LANES;
    ap_int<SUM_BITS> sums[LANES];
#pragma HLS ARRAY_PARTITION variable = sums complete
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int fold = 0; fold < FOLDS; ++fold) {
            for (int tap = 0; tap < TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
                SUBBYTE_CYCLE();
                const ap_uint<LANES * X_BITS> codes = x.read();
                for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
                    const ap_int<SUM_BITS> before = tap == 0 ? ap_int<SUM_BITS>(BIAS) : sums[lane];
                    sums[lane] = before + get_code<X_BITS, X_SIGN>(codes, lane);
                }
                if (tap == TAPS - 1) {
                    ap_uint<LANES * Y_BITS> word = 0;
                    Requantize<0, LANES, LIVE>::template lanes<Y_BITS>(sums, fold, fold == FOLDS - 1, steps, word);
                    y.write(word);
                }
            }
        }
    }
}

// What is known of each channel so far is kept in a memory, a word for each fold, and used again FOLDS iterations later.
template <int PIXELS, int CHANNELS, int LANES, int X_BITS, int X_SIGN>
void global_max(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * X_BITS> >& y) {
    const int FOLDS = ceil_div(CHANNELS, LANES);
    const int LIVE = CHANNELS - (FOLDS - 1) * LANES;
    ap_uint<LANES * X_BITS> best[FOLDS];
#pragma HLS DEPENDENCE variable = best inter RAW distance = FOLDS true
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int fold = 0; fold < FOLDS; ++fold) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
            SUBBYTE_CYCLE();
            const ap_uint<LANES * X_BITS> codes = x.read();
            const int live = fold == FOLDS - 1 ? LIVE : LANES;
            const ap_uint<LANES * X_BITS> before = pixel == 0 ? codes : best[fold];
            const ap_uint<LANES * X_BITS> now = larger_codes<LANES, X_BITS, X_SIGN>(before, codes, live);
            best[fold] = now;
            if (pixel == PIXELS - 1) y.write(now);
        }
    }
}

template <int PIXELS, int CHANNELS, int LANES, int X_BITS, int X_SIGN, int SUM_BITS, long long BIAS, int Y_BITS,
          class Steps>
void global_sum(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * Y_BITS> >& y,
                const Steps& steps) {
    const int FOLDS = ceil_div(CHANNELS, LANES);
    const int LIVE = CHANNELS - (FOLDS - 1) * LANES;
    ap_int<SUM_BITS> sums[FOLDS][LANES];
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 2
#pragma HLS DEPENDENCE variable = sums inter RAW distance = FOLDS true
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int fold = 0; fold < FOLDS; ++fold) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
            SUBBYTE_CYCLE();
            const ap_uint<LANES * X_BITS> codes = x.read();
            ap_int<SUM_BITS> now[LANES];
#pragma HLS ARRAY_PARTITION variable = now complete
            for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
                const ap_int<SUM_BITS> before = pixel == 0 ? ap_int<SUM_BITS>(BIAS) : sums[fold][lane];
                now[lane] = before + get_code<X_BITS, X_SIGN>(codes, lane);
                sums[fold][lane] = now[lane];
            }
            if (pixel == PIXELS - 1) {
                ap_uint<LANES * Y_BITS> word = 0;
                Requantize<0, LANES, LIVE>::template lanes<Y_BITS>(now, fold, fold == FOLDS - 1, steps, word);
                y.write(word);
            }
        }
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_POOL_H_
