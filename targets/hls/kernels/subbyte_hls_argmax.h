// The channel with the largest code of each pixel. A word has LANES codes, the first in the lowest bits.
#ifndef SUBBYTE_HLS_ARGMAX_H_
#define SUBBYTE_HLS_ARGMAX_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

// A channel and its code, wide enough for one value below every code.
template <int BITS>
struct Candidate {
    ap_int<BITS + 1> code;
    int channel;
};

// The better of two, `after` being of a later channel: of equal codes the first, or the LAST.
template <bool LAST, int BITS>
Candidate<BITS> better(const Candidate<BITS>& before, const Candidate<BITS>& after) {
#pragma HLS INLINE
    return after.code > before.code || (LAST && after.code == before.code) ? after : before;
}

// The best of lanes FIRST to FIRST + COUNT - 1, as a tree; lane 0 is channel `base`, channels from `channels` on are
// what fills the word up and lose against every code.
template <int FIRST, int COUNT, int BITS, int SIGN, bool LAST>
struct BestLane {
    template <typename Word>
    static Candidate<BITS> of(const Word& codes, int base, int channels) {
#pragma HLS INLINE
        return better<LAST, BITS>(
            BestLane<FIRST, COUNT / 2, BITS, SIGN, LAST>::of(codes, base, channels),
            BestLane<FIRST + COUNT / 2, COUNT - COUNT / 2, BITS, SIGN, LAST>::of(codes, base, channels));
    }
};

template <int FIRST, int BITS, int SIGN, bool LAST>
struct BestLane<FIRST, 1, BITS, SIGN, LAST> {
    template <typename Word>
    static Candidate<BITS> of(const Word& codes, int base, int channels) {
#pragma HLS INLINE
        Candidate<BITS> lane;
        lane.channel = base + FIRST;
        lane.code = get_code<BITS, SIGN>(codes, FIRST);
        if (lane.channel >= channels) {
            lane.code = 0;
            lane.code[BITS] = 1;  // -2^BITS
        }
        return lane;
    }
};

// y: for each pixel the number of its channel with the largest code; of several the first, or the LAST.
// Iteration i < PIXELS * words per pixel reads word i; the last of each pixel writes one code of Y_BITS bits.
template <int PIXELS, int CHANNELS, int LANES, int X_BITS, int SIGN, bool LAST, int Y_BITS>
void argmax_codes(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<Y_BITS> >& y) {
    const int words_per_pixel = ceil_div(CHANNELS, LANES);
    Candidate<X_BITS> best;
    best.code = 0;
    best.channel = 0;
    int fold = 0;  // the word's number in its pixel
    for (int i = 0; i < PIXELS * words_per_pixel; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<LANES * X_BITS> codes = x.read();
        const Candidate<X_BITS> found = BestLane<0, LANES, X_BITS, SIGN, LAST>::of(codes, fold * LANES, CHANNELS);
        best = fold == 0 ? found : better<LAST, X_BITS>(best, found);
        if (fold == words_per_pixel - 1) y.write(ap_uint<Y_BITS>(best.channel));
        fold = fold == words_per_pixel - 1 ? 0 : fold + 1;
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_ARGMAX_H_
