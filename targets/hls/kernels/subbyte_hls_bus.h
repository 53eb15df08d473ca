// Between the bus and the first and last streams of a design. On the bus a frame is an array of its codes in the order
// of the stream, each sign- or zero-extended to a container of 8, 16, 32 or 64 bits, the first in the lowest bits;
// bipolar codes are -1 and +1 there too. A beat of BUS_BITS holds one word of the stream: LANES containers, and zeros
// above them. LAST_LANES of the frame's last word mean something.
#ifndef SUBBYTE_HLS_BUS_H_
#define SUBBYTE_HLS_BUS_H_

#include "ap_axi_sdata.h"
#include "subbyte_hls.h"

namespace subbyte_hls {

// The bits of a code in a container. A container that holds no code of so few bits is cut off.
template <int BITS, int SIGN, int CONTAINER>
struct Contained {
    static ap_uint<BITS> bits_of(const ap_uint<CONTAINER>& container) { return ap_uint<BITS>(container); }
};

template <int CONTAINER>
struct Contained<1, BIPOLAR, CONTAINER> {
    static ap_uint<1> bits_of(const ap_uint<CONTAINER>& container) { return container == 1 ? 1 : 0; }
};

// The word in a beat.
template <int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
ap_uint<LANES * BITS> word_of(const ap_uint<BUS_BITS>& beat) {
#pragma HLS INLINE
    static_assert(LANES * CONTAINER <= BUS_BITS && BITS <= CONTAINER, "a word does not fit into a beat");
    ap_uint<LANES * BITS> word = 0;
    for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        set_lane<BITS>(word, lane, Contained<BITS, SIGN, CONTAINER>::bits_of(get_lane<CONTAINER>(beat, lane)));
    }
    return word;
}

// The beat of a word's first `lanes` codes.
template <int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
ap_uint<BUS_BITS> beat_of(const ap_uint<LANES * BITS>& word, int lanes) {
#pragma HLS INLINE
    static_assert(LANES * CONTAINER <= BUS_BITS && BITS <= CONTAINER, "a word does not fit into a beat");
    ap_uint<BUS_BITS> beat = 0;
    for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        const ap_int<CONTAINER> code = get_code<BITS, SIGN>(word, lane);
        if (lane < lanes) set_lane<CONTAINER>(beat, lane, ap_uint<CONTAINER>(code));
    }
    return beat;
}

// Iteration i < WORDS reads beat i and writes word i. Where packets end is of no meaning: frames are counted.
template <int WORDS, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void from_axis(hls::stream<ap_axiu<BUS_BITS, 0, 0, 0> >& axis, hls::stream<ap_uint<LANES * BITS> >& y) {
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_axiu<BUS_BITS, 0, 0, 0> beat = axis.read();
        y.write(word_of<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(beat.data));
    }
}

// Iteration i < WORDS reads word i and writes beat i; TLAST is set on the last one, TKEEP on the bytes of codes.
template <int WORDS, int LANES, int LAST_LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void to_axis(hls::stream<ap_uint<LANES * BITS> >& x, hls::stream<ap_axiu<BUS_BITS, 0, 0, 0> >& axis) {
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const bool last = i == WORDS - 1;
        const int lanes = last ? LAST_LANES : LANES;
        ap_axiu<BUS_BITS, 0, 0, 0> beat;
        beat.data = beat_of<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(x.read(), lanes);
        ap_uint<BUS_BITS / 8> keep = 0;
        for (int byte = 0; byte < BUS_BITS / 8; ++byte) {
#pragma HLS UNROLL
            keep[byte] = byte < lanes * (CONTAINER / 8);
        }
        beat.keep = keep;
        beat.strb = keep;
        beat.last = last;
        axis.write(beat);
    }
}

// Iteration i < WORDS reads memory[i], a burst, and writes word i.
template <int WORDS, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void from_memory(const ap_uint<BUS_BITS>* memory, hls::stream<ap_uint<LANES * BITS> >& y) {
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        y.write(word_of<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(memory[i]));
    }
}

// Iteration i < WORDS reads word i and writes memory[i], a burst; the last beat is whole, with zeros behind the codes.
template <int WORDS, int LANES, int LAST_LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void to_memory(hls::stream<ap_uint<LANES * BITS> >& x, ap_uint<BUS_BITS>* memory) {
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const int lanes = i == WORDS - 1 ? LAST_LANES : LANES;
        memory[i] = beat_of<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(x.read(), lanes);
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_BUS_H_
