// A matrix times the vector of each pixel: convolutions (of windows), fully connected layers, pointwise convolutions.
//
//   y[o] = steps(bias[o] + sum over runs r and channels c of x[r][c] * w[o][r][c])
//
// x: words of SIMD codes; a pixel is RUNS runs of CHANNELS codes, each run begins with a new word: SF words a pixel.
// y: words of PE codes; a pixel is OUTPUTS codes: NF words a pixel. Where SIMD or PE do not divide, the last word of a
// run or a pixel has lanes left over: those of x do not count, whatever they hold, and those of y are 0.
//
// Iteration (pixel, nf, sf) adds SIMD products to each of PE sums; nf 0 reads word sf of x and keeps it for the further
// nf; sf SF - 1 writes word nf of y. One iteration a cycle: PIXELS * NF * SF cycles a frame.
//
// weights[pe][nf * SF + sf]: the SIMD weights of output nf * PE + pe by the codes of word sf, lane by lane, in the bits
// of Product (subbyte_hls_products.h); what lies beyond a run or OUTPUTS is 0. bias[pe][nf]: of output nf * PE + pe.
// steps.apply<pe>(sum, nf): the bits of y. SUM_BITS hold every finished sum; on the way to it sums may wrap around.
#ifndef SUBBYTE_HLS_MATRIX_VECTOR_H_
#define SUBBYTE_HLS_MATRIX_VECTOR_H_

#include "subbyte_hls.h"
#include "subbyte_hls_products.h"

namespace subbyte_hls {

template <class Product, int PIXELS, int RUNS, int CHANNELS, int OUTPUTS, int SIMD, int PE, int SUM_BITS, int Y_BITS,
          int BIAS_BITS, class Steps>
void matrix_vector(
    hls::stream<ap_uint<SIMD * Product::X_BITS> >& x, hls::stream<ap_uint<PE * Y_BITS> >& y,
    const ap_uint<SIMD * Product::WEIGHT_BITS> (&weights)[PE][RUNS * ceil_div(CHANNELS, SIMD) * ceil_div(OUTPUTS, PE)],
    const ap_int<BIAS_BITS> (&bias)[PE][ceil_div(OUTPUTS, PE)], const Steps& steps) {
// Into the layer's function, so that its weights are constants here and not ports.
#pragma HLS INLINE
    constexpr int WORDS = ceil_div(CHANNELS, SIMD);        // words of a run
    constexpr int SF = RUNS * WORDS;                       // words of x a pixel
    constexpr int NF = ceil_div(OUTPUTS, PE);              // words of y a pixel
    constexpr int LIVE_X = CHANNELS - (WORDS - 1) * SIMD;  // lanes of a run's last word that hold codes
    constexpr int LIVE_Y = OUTPUTS - (NF - 1) * PE;        // lanes of a pixel's last word that hold codes
#pragma HLS ARRAY_PARTITION variable = weights dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = bias dim = 1 complete

    ap_uint<SIMD * Product::X_BITS> kept[SF];  // the pixel's words; a wire where NF is 1, a register where SF is 1
#pragma HLS BIND_STORAGE variable = kept type = ram_s2p
#pragma HLS DEPENDENCE variable = kept type = inter direction = RAW distance = SF true
    ap_int<SUM_BITS> sums[PE];
#pragma HLS ARRAY_PARTITION variable = sums complete

    int word = 0;  // of the run
    for (int pixel = 0; pixel < PIXELS; ++pixel) {
        for (int nf = 0; nf < NF; ++nf) {
            for (int sf = 0; sf < SF; ++sf) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
                SUBBYTE_CYCLE();
                const ap_uint<SIMD * Product::X_BITS> codes = nf == 0 ? x.read() : kept[sf];
                if (nf == 0) kept[sf] = codes;

                const bool last_word = word == WORDS - 1;
                word = last_word ? 0 : word + 1;
                for (int pe = 0; pe < PE; ++pe) {
#pragma HLS UNROLL
                    const ap_int<SUM_BITS> before = sf == 0 ? ap_int<SUM_BITS>(bias[pe][nf]) : sums[pe];
                    sums[pe] =
                        before + sum_of_products<Product, SIMD, LIVE_X>(codes, weights[pe][nf * SF + sf], last_word);
                }

                if (sf == SF - 1) {
                    ap_uint<PE * Y_BITS> result = 0;
                    Requantize<0, PE, LIVE_Y>::template lanes<Y_BITS>(sums, nf, nf == NF - 1, steps, result);
                    y.write(result);
                }
            }
        }
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_MATRIX_VECTOR_H_
