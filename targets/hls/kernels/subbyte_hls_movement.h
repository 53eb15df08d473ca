// Streams that are copied, joined, dealt out and cut into other words. A word has some lanes, the first in the lowest
// bits; each run of codes starts with a new word, and lanes that fill up its last word are 0.
#ifndef SUBBYTE_HLS_MOVEMENT_H_
#define SUBBYTE_HLS_MOVEMENT_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

// Words to every output -----------------------------------------------------------------------------------------------

template <int WORD_BITS>
void write_all(const ap_uint<WORD_BITS>&) {}

template <int WORD_BITS, typename... Outputs>
void write_all(const ap_uint<WORD_BITS>& word, hls::stream<ap_uint<WORD_BITS> >& first, Outputs&... others) {
#pragma HLS INLINE
    first.write(word);
    write_all<WORD_BITS>(word, others...);
}

// Every word of x to every output. Iteration i < WORDS reads word i and writes word i of each.
template <int WORDS, int WORD_BITS, typename... Outputs>
void fork(hls::stream<ap_uint<WORD_BITS> >& x, Outputs&... outputs) {
    for (int i = 0; i < WORDS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<WORD_BITS> word = x.read();
        write_all<WORD_BITS>(word, outputs...);
    }
}

// Channels joined and dealt out ---------------------------------------------------------------------------------------

template <int... TERMS>
struct Sum {
    static const int value = 0;
};

template <int FIRST, int... OTHERS>
struct Sum<FIRST, OTHERS...> {
    static const int value = FIRST + Sum<OTHERS...>::value;
};

// Word `at` of a pixel, from the stream whose part it is in; the parts have WORDS... words.
template <int WORD_BITS>
ap_uint<WORD_BITS> read_part(int) {
    return 0;
}

template <int WORD_BITS, int WORDS, int... OTHERS, typename... Inputs>
ap_uint<WORD_BITS> read_part(int at, hls::stream<ap_uint<WORD_BITS> >& first, Inputs&... others) {
#pragma HLS INLINE
    if (at < WORDS) return first.read();
    return read_part<WORD_BITS, OTHERS...>(at - WORDS, others...);
}

template <int WORD_BITS>
void write_part(int, const ap_uint<WORD_BITS>&) {}

template <int WORD_BITS, int WORDS, int... OTHERS, typename... Outputs>
void write_part(int at, const ap_uint<WORD_BITS>& word, hls::stream<ap_uint<WORD_BITS> >& first, Outputs&... others) {
#pragma HLS INLINE
    if (at < WORDS)
        first.write(word);
    else
        write_part<WORD_BITS, OTHERS...>(at - WORDS, word, others...);
}

// y: for each pixel WORDS... words of the inputs, one after the other. An iteration writes the next word of y, read
// from the input that it comes from.
template <int PIXELS, int WORD_BITS, int... WORDS, typename... Inputs>
void concat_channels(hls::stream<ap_uint<WORD_BITS> >& y, Inputs&... inputs) {
    const int words_per_pixel = Sum<WORDS...>::value;
    int at = 0;
    for (int i = 0; i < PIXELS * words_per_pixel; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        y.write(read_part<WORD_BITS, WORDS...>(at, inputs...));
        at = at == words_per_pixel - 1 ? 0 : at + 1;
    }
}

// The inverse: an iteration reads the next word of x and writes it to the output that it belongs to.
template <int PIXELS, int WORD_BITS, int... WORDS, typename... Outputs>
void split_channels(hls::stream<ap_uint<WORD_BITS> >& x, Outputs&... outputs) {
    const int words_per_pixel = Sum<WORDS...>::value;
    int at = 0;
    for (int i = 0; i < PIXELS * words_per_pixel; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const ap_uint<WORD_BITS> word = x.read();
        write_part<WORD_BITS, WORDS...>(at, word, outputs...);
        at = at == words_per_pixel - 1 ? 0 : at + 1;
    }
}

// Other words ---------------------------------------------------------------------------------------------------------

// The codes of x, BITS bits each, in runs of X_RUN and words of X_LANES, to runs of Y_RUN and words of Y_LANES.
// UNIT divides all four: so many codes stay together. An iteration reads a word where fewer codes are held than the
// next word of y has, then writes that word where enough are held. ITERATIONS of that move a frame.
template <int ITERATIONS, int BITS, int UNIT, int X_RUN, int X_LANES, int Y_RUN, int Y_LANES>
void convert(hls::stream<ap_uint<X_LANES * BITS> >& x, hls::stream<ap_uint<Y_LANES * BITS> >& y) {
    static_assert(X_RUN % UNIT == 0 && X_LANES % UNIT == 0 && Y_RUN % UNIT == 0 && Y_LANES % UNIT == 0,
                  "a unit is cut");
    const int unit_bits = UNIT * BITS;
    const int x_words = ceil_div(X_RUN, X_LANES);  // words of a run
    const int y_words = ceil_div(Y_RUN, Y_LANES);
    const int x_units = X_LANES / UNIT;  // units of a word, and of the last one of a run
    const int y_units = Y_LANES / UNIT;
    const int x_last = X_RUN / UNIT - (x_words - 1) * x_units;
    const int y_last = Y_RUN / UNIT - (y_words - 1) * y_units;
    const int room = x_units + y_units - 1;
    ap_uint<unit_bits> held[room];  // the first `count` mean something; reading begins below y_units
#pragma HLS ARRAY_PARTITION variable = held complete
    for (int u = 0; u < room; ++u) {
#pragma HLS UNROLL
        held[u] = 0;
    }
    int count = 0;
    int x_word = 0;
    int y_word = 0;
    for (int i = 0; i < ITERATIONS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const bool last = y_word == y_words - 1;
        const int need = last ? y_last : y_units;
        if (count < need) {
            const ap_uint<X_LANES * BITS> word = x.read();
            for (int u = 0; u < x_units; ++u) {
#pragma HLS UNROLL
                held[count + u] = get_lane<unit_bits>(word, u);
            }
            count += x_word == x_words - 1 ? x_last : x_units;
            x_word = x_word == x_words - 1 ? 0 : x_word + 1;
        }
        if (count >= need) {
            ap_uint<Y_LANES * BITS> word = 0;
            for (int u = 0; u < y_units; ++u) {
#pragma HLS UNROLL
                if (u < need) set_lane<unit_bits>(word, u, held[u]);
            }
            y.write(word);
            for (int u = 0; u < room; ++u) {
#pragma HLS UNROLL
                const int from = last ? u + y_last : u + y_units;
                if (from < room) held[u] = held[from];
            }
            count -= need;
            y_word = last ? 0 : y_word + 1;
        }
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_MOVEMENT_H_
