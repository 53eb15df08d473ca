// Two streams of one shape, code by code. A word has LANES codes, the first in the lowest bits.
#ifndef SUBBYTE_HLS_COMBINE_H_
#define SUBBYTE_HLS_COMBINE_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

// Lanes FIRST to FIRST + COUNT - 1 of y = pair(a, b); halves, since a lane is a constant of the code that computes it.
template <int FIRST, int COUNT, int A_BITS, int B_BITS, int Y_BITS>
struct CombineLanes {
    template <int LANES, typename Pair>
    static void run(const ap_uint<LANES * A_BITS>& a, const ap_uint<LANES * B_BITS>& b, ap_uint<LANES * Y_BITS>& y,
                    const Pair& pair) {
#pragma HLS INLINE
        CombineLanes<FIRST, COUNT / 2, A_BITS, B_BITS, Y_BITS>::template run<LANES>(a, b, y, pair);
        CombineLanes<FIRST + COUNT / 2, COUNT - COUNT / 2, A_BITS, B_BITS, Y_BITS>::template run<LANES>(a, b, y, pair);
    }
};

template <int FIRST, int A_BITS, int B_BITS, int Y_BITS>
struct CombineLanes<FIRST, 1, A_BITS, B_BITS, Y_BITS> {
    template <int LANES, typename Pair>
    static void run(const ap_uint<LANES * A_BITS>& a, const ap_uint<LANES * B_BITS>& b, ap_uint<LANES * Y_BITS>& y,
                    const Pair& pair) {
#pragma HLS INLINE
        const ap_uint<A_BITS> left = get_lane<A_BITS>(a, FIRST);
        const ap_uint<B_BITS> right = get_lane<B_BITS>(b, FIRST);
        set_lane<Y_BITS>(y, FIRST, pair.template apply<FIRST>(left, right));
    }
};

// y = pair(a, b), lane by lane: pair.apply<LANE>(bits of a's code, bits of b's code) gives the bits of y's code.
// Iteration i < WORDS reads word i of a and of b and writes word i. A run is CHANNELS codes; lanes that fill up its
// last word are written as 0.
template <int WORDS, int CHANNELS, int LANES, int A_BITS, int B_BITS, int Y_BITS, typename Pair>
void combine_codes(hls::stream<ap_uint<LANES * A_BITS> >& a, hls::stream<ap_uint<LANES * B_BITS> >& b,
                   hls::stream<ap_uint<LANES * Y_BITS> >& y, const Pair& pair) {
    const int words_per_run = ceil_div(CHANNELS, LANES);
    const int last_lanes = CHANNELS - (words_per_run - 1) * LANES;
    int fold = 0;  // the word's number in its run
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<LANES * A_BITS> left = a.read();
        const ap_uint<LANES * B_BITS> right = b.read();
        ap_uint<LANES * Y_BITS> combined = 0;
        CombineLanes<0, LANES, A_BITS, B_BITS, Y_BITS>::template run<LANES>(left, right, combined, pair);
        if (last_lanes < LANES && fold == words_per_run - 1)
            combined.range(LANES * Y_BITS - 1, (last_lanes % LANES) * Y_BITS) = 0;
        y.write(combined);
        fold = fold == words_per_run - 1 ? 0 : fold + 1;
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_COMBINE_H_
