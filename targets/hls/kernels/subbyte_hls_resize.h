// Nearest neighbours: y[r][c] = x[rows[r]][columns[c]], rows and columns both ascending.
//
// x: HEIGHT x WIDTH pixels of WORDS words; y: OUT_HEIGHT x OUT_WIDTH pixels of as many. A line holds one row of x.
//   steps[r]    rows of x from the one before to rows[r]: rows[r] - rows[r - 1], or rows[0] + 1; 0 repeats the row
//   starts[c]   the first word of pixel columns[c] in its row: columns[c] * WORDS
// For each row of y: words of rows of x that no row of y needs are read and dropped, one an iteration; then where the
// row is another row of x, it is read, a word an iteration, and from DELAY iterations after its first word on the row of
// y is written, a word an iteration; where the row repeats, it is written alone. DELAY is the least by which each word
// is read in an iteration before the one that writes it. Rows of x behind the last one that is needed come last.
#ifndef SUBBYTE_HLS_RESIZE_H_
#define SUBBYTE_HLS_RESIZE_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

template <int WORD_BITS, int HEIGHT, int WIDTH, int WORDS, int OUT_HEIGHT, int OUT_WIDTH, int DELAY, int ITERATIONS,
          int STEP_BITS, int START_BITS>
void resize_nearest(hls::stream<ap_uint<WORD_BITS> >& x, hls::stream<ap_uint<WORD_BITS> >& y,
                    const ap_uint<STEP_BITS> (&steps)[OUT_HEIGHT], const ap_uint<START_BITS> (&starts)[OUT_WIDTH]) {
    const int LINE = WIDTH * WORDS;          // words of a row of x
    const int OUT_LINE = OUT_WIDTH * WORDS;  // words of a row of y
    const int LONGEST = larger(LINE, DELAY + OUT_LINE);
    // Which row comes next decides the next iteration, so that steps are logic and not a memory with a latency.
#pragma HLS ARRAY_PARTITION variable = steps complete
    ap_uint<WORD_BITS> line[LINE];
    ap_uint<index_bits(HEIGHT * LINE + 1)> left = HEIGHT * LINE;  // words of x to be read
    ap_uint<index_bits(OUT_HEIGHT + 1)> row = 0;
    ap_uint<index_bits(HEIGHT * LINE + 1)> skip = (steps[0].to_int() - 1) * LINE;  // words to be dropped
    ap_uint<index_bits(LONGEST)> at = 0;                                           // the iteration of the row
    ap_uint<index_bits(OUT_WIDTH)> column = 0;
    ap_uint<index_bits(WORDS)> fold = 0;

    for (int i = 0; i < ITERATIONS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const bool dropping = skip.to_int() > 0;
        const bool fresh = steps[row.to_int()].to_int() > 0;
        const bool reading = !dropping && fresh && at.to_int() < LINE;
        const bool writing = !dropping && (!fresh || (at.to_int() >= DELAY && at.to_int() < DELAY + OUT_LINE));
        ap_uint<WORD_BITS> word = 0;
        if (dropping || reading) word = x.read();
        if (writing) {
            y.write(line[starts[column.to_int()].to_int() + fold.to_int()]);
            const bool last_fold = fold.to_int() == WORDS - 1;
            const bool last_column = column.to_int() == OUT_WIDTH - 1;
            if (last_fold) column = last_column ? 0 : column.to_int() + 1;
            fold = last_fold ? 0 : fold.to_int() + 1;
        }
        if (reading) line[at.to_int()] = word;
        if (dropping || reading) left = left.to_int() - 1;
        if (dropping) {
            skip = skip.to_int() - 1;
        } else if (at.to_int() == (fresh ? LONGEST : OUT_LINE) - 1) {
            const bool last = row.to_int() == OUT_HEIGHT - 1;
            const int next = last ? 0 : steps[row.to_int() + 1].to_int();
            skip = last ? left.to_int() : next > 1 ? (next - 1) * LINE : 0;
            if (!last) row = row.to_int() + 1;
            at = 0;
        } else {
            at = at.to_int() + 1;
        }
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_RESIZE_H_
