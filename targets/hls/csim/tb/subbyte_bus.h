// The other side of the bus, for testbenches: frames of words to beats and back, in plain integers of 64 bits.
//
// What is wrong with a beat that a design writes ends the program with status 1.
#ifndef SUBBYTE_BUS_H_
#define SUBBYTE_BUS_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ap_axi_sdata.h"
#include "hls_stream.h"

namespace subbyte_bus {

// The containers of a beat that hold a code of BITS bits of each lane; SIGN 0: unsigned, 1: two's complement, 2: bipolar.
template <int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
ap_uint<BUS_BITS> pack(const ap_uint<LANES * BITS>& word, int lanes) {
    ap_uint<BUS_BITS> beat = 0;
    for (int lane = 0; lane < lanes; ++lane) {
        const ap_uint<BITS> bits = word.range(lane * BITS + BITS - 1, lane * BITS);
        uint64_t code = bits.to_uint64();
        if (SIGN == 1 && (code >> (BITS - 1)) & 1) code |= ~(((static_cast<uint64_t>(1) << (BITS - 1)) << 1) - 1);
        if (SIGN == 2) code = code != 0 ? 1 : ~static_cast<uint64_t>(0);
        const ap_uint<64> number = static_cast<unsigned long long>(code);
        beat.range(lane * CONTAINER + CONTAINER - 1, lane * CONTAINER) = ap_uint<CONTAINER>(number);
    }
    return beat;
}

// The inverse. what: the port and the beat, for the message about a container that holds no code, or a gap that is not 0.
template <int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
ap_uint<LANES * BITS> unpack(const ap_uint<BUS_BITS>& beat, int lanes, const char* port, int index) {
    ap_uint<LANES * BITS> word = 0;
    for (int lane = 0; lane < lanes; ++lane) {
        const ap_uint<CONTAINER> container = beat.range(lane * CONTAINER + CONTAINER - 1, lane * CONTAINER);
        const ap_uint<BITS> code = SIGN == 2 ? ap_uint<BITS>(container == 1 ? 1 : 0) : ap_uint<BITS>(container);
        word.range(lane * BITS + BITS - 1, lane * BITS) = code;
    }
    if (pack<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(word, lanes) != beat) {
        fprintf(stderr, "port %s: beat %d holds something that is no code of %d bits\n", port, index, BITS);
        exit(1);
    }
    return word;
}

// A frame of CODES codes to a port.
template <int CODES, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void send(const ap_uint<LANES * BITS>* words, hls::stream<ap_axiu<BUS_BITS, 0, 0, 0> >& port) {
    for (int first = 0, i = 0; first < CODES; first += LANES, ++i) {
        const int lanes = CODES - first < LANES ? CODES - first : LANES;
        ap_axiu<BUS_BITS, 0, 0, 0> beat;
        beat.data = pack<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(words[i], lanes);
        beat.keep = 0;
        for (int byte = 0; byte < lanes * (CONTAINER / 8); ++byte) beat.keep[byte] = 1;
        beat.strb = beat.keep;
        beat.last = first + LANES >= CODES;
        port.write(beat);
    }
}

// A frame of CODES codes from a port; the last of its beats, and no other, has TLAST, and TKEEP is of its codes.
template <int CODES, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void receive(hls::stream<ap_axiu<BUS_BITS, 0, 0, 0> >& port, ap_uint<LANES * BITS>* words, const char* name) {
    for (int first = 0, i = 0; first < CODES; first += LANES, ++i) {
        const int lanes = CODES - first < LANES ? CODES - first : LANES;
        const ap_axiu<BUS_BITS, 0, 0, 0> beat = port.read();
        words[i] = unpack<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(beat.data, lanes, name, i);
        bool is_right = (beat.last == 1) == (first + LANES >= CODES);
        for (int byte = 0; byte < BUS_BITS / 8; ++byte) {
            is_right = is_right && (beat.keep[byte] == 1) == (byte < lanes * (CONTAINER / 8));
        }
        if (!is_right) {
            fprintf(stderr, "port %s: beat %d has a TLAST or TKEEP that does not end a frame of %d codes\n", name, i,
                    CODES);
            exit(1);
        }
    }
}

// A frame of CODES codes to memory, and from there.
template <int CODES, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void store(const ap_uint<LANES * BITS>* words, ap_uint<BUS_BITS>* memory) {
    for (int first = 0, i = 0; first < CODES; first += LANES, ++i) {
        const int lanes = CODES - first < LANES ? CODES - first : LANES;
        memory[i] = pack<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(words[i], lanes);
    }
}

template <int CODES, int LANES, int BITS, int SIGN, int CONTAINER, int BUS_BITS>
void load(const ap_uint<BUS_BITS>* memory, ap_uint<LANES * BITS>* words, const char* name) {
    for (int first = 0, i = 0; first < CODES; first += LANES, ++i) {
        const int lanes = CODES - first < LANES ? CODES - first : LANES;
        words[i] = unpack<LANES, BITS, SIGN, CONTAINER, BUS_BITS>(memory[i], lanes, name, i);
    }
}

}  // namespace subbyte_bus

#endif  // SUBBYTE_BUS_H_
