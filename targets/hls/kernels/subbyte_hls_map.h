// Codes through tables. A word of x has LANES codes of X_BITS bits, the first in the lowest bits; y likewise, Y_BITS.
// Tables are indexed by the bits of a code, so that codes need no subtraction; they hold the bits of y's codes.
#ifndef SUBBYTE_HLS_MAP_H_
#define SUBBYTE_HLS_MAP_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

// y = table[x], lane by lane, one table for all channels. Iteration i < WORDS reads word i and writes word i.
// A run is CHANNELS codes; lanes that fill up its last word are written as 0.
template <int WORDS, int CHANNELS, int LANES, int X_BITS, int Y_BITS>
void map_codes(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * Y_BITS> >& y,
               const ap_uint<Y_BITS> (&table)[1 << X_BITS]) {
#pragma HLS BIND_STORAGE variable = table type = rom_np
    const int words_per_run = ceil_div(CHANNELS, LANES);
    int fold = 0;  // the word's number in its run
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<LANES * X_BITS> codes = x.read();
        ap_uint<LANES * Y_BITS> mapped = 0;
        for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
            const ap_uint<X_BITS> code = get_lane<X_BITS>(codes, lane);
            if (fold * LANES + lane < CHANNELS) set_lane<Y_BITS>(mapped, lane, table[code.to_int()]);
        }
        y.write(mapped);
        fold = fold == words_per_run - 1 ? 0 : fold + 1;
    }
}

// y = table[channel][x], lane by lane. The table of channel fold * LANES + lane is at table[lane][fold * 2^X_BITS];
// those of channels that there are not hold 0. Iteration i < WORDS reads word i and writes word i.
template <int WORDS, int CHANNELS, int LANES, int X_BITS, int Y_BITS>
void map_channels(hls::stream<ap_uint<LANES * X_BITS> >& x, hls::stream<ap_uint<LANES * Y_BITS> >& y,
                  const ap_uint<Y_BITS> (&table)[LANES][ceil_div(CHANNELS, LANES) << X_BITS]) {
#pragma HLS ARRAY_PARTITION variable = table dim = 1 complete
    const int words_per_run = ceil_div(CHANNELS, LANES);
    int fold = 0;
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<LANES * X_BITS> codes = x.read();
        ap_uint<LANES * Y_BITS> mapped = 0;
        for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
            const ap_uint<X_BITS> code = get_lane<X_BITS>(codes, lane);
            set_lane<Y_BITS>(mapped, lane, table[lane][(fold << X_BITS) + code.to_int()]);
        }
        y.write(mapped);
        fold = fold == words_per_run - 1 ? 0 : fold + 1;
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_MAP_H_
