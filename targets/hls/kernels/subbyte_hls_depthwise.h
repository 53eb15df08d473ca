// Each channel's own filter: depthwise convolutions.
//
//   y[c] = steps(bias[c] + sum over taps t of x[c][t] * w[c][t])
//
// x: windows in the order CHANNELS: words of LANES channels, for each word of channels one word for each of TAPS.
// y: words of LANES codes; a pixel is CHANNELS codes: FOLDS words a pixel. Where LANES does not divide CHANNELS, the
// last fold has lanes left over: those of x do not count, whatever they hold, and those of y are 0.
//
// Iteration (pixel, fold, tap) reads a word of x and adds a product to each of LANES sums; tap TAPS - 1 writes word
// `fold` of y. One iteration a cycle: PIXELS * FOLDS * TAPS cycles a frame.
//
// weights[fold * TAPS + tap]: the weights of channels fold * LANES .. + LANES - 1, lane by lane, in the bits of Product
// (subbyte_hls_products.h); beyond CHANNELS 0. bias[lane][fold]: of channel fold * LANES + lane.
// steps.apply<lane>(sum, fold): the bits of y. SUM_BITS hold every finished sum; on the way sums may wrap around.
#ifndef SUBBYTE_HLS_DEPTHWISE_H_
#define SUBBYTE_HLS_DEPTHWISE_H_

#include "subbyte_hls.h"
#include "subbyte_hls_products.h"

namespace subbyte_hls {

template <class Product, int PIXELS, int TAPS, int CHANNELS, int LANES, int SUM_BITS, int Y_BITS, int BIAS_BITS,
          class Steps>
void depthwise_vector(hls::stream<ap_uint<LANES * Product::X_BITS> >& x, hls::stream<ap_uint<LANES * Y_BITS> >& y,
                      const ap_uint<LANES * Product::WEIGHT_BITS> (&weights)[ceil_div(CHANNELS, LANES) * TAPS],
                      const ap_int<BIAS_BITS> (&bias)[LANES][ceil_div(CHANNELS, LANES)], const Steps& steps) {
// Into the layer's function, so that its weights are constants here and not ports.
#pragma HLS INLINE
    constexpr int FOLDS = ceil_div(CHANNELS, LANES);      // words of y a pixel
    constexpr int LIVE = CHANNELS - (FOLDS - 1) * LANES;  // lanes of the last of them that hold codes
#pragma HLS ARRAY_PARTITION variable = bias dim = 1 complete

    ap_int<SUM_BITS> sums[LANES];
#pragma HLS ARRAY_PARTITION variable = sums complete

    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int fold = 0; fold < FOLDS; ++fold) {
            for (int tap = 0; tap < TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
                SUBBYTE_CYCLE();
                const ap_uint<LANES * Product::X_BITS> codes = x.read();
                const ap_uint<LANES * Product::WEIGHT_BITS> factors = weights[fold * TAPS + tap];
                for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
                    const ap_int<SUM_BITS> before = tap == 0 ? ap_int<SUM_BITS>(bias[lane][fold]) : sums[lane];
                    sums[lane] = before + Product::of(get_lane<Product::X_BITS>(codes, lane),
                                                      get_lane<Product::WEIGHT_BITS>(factors, lane));
                }

                if (tap == TAPS - 1) {
                    ap_uint<LANES * Y_BITS> result = 0;
                    Requantize<0, LANES, LIVE>::template lanes<Y_BITS>(sums, fold, fold == FOLDS - 1, steps, result);
                    y.write(result);
                }
            }
        }
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_DEPTHWISE_H_
