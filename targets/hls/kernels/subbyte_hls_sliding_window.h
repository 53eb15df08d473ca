// The pixels under a kernel as it slides over a frame: HEIGHT x WIDTH pixels in, rows first, OUT_HEIGHT x OUT_WIDTH
// windows out, rows first, each of KERNEL_HEIGHT x KERNEL_WIDTH taps. Tap (r, c) of window (i, j) is the pixel
//   row i * STRIDE_Y + r * DILATION_Y - PAD_TOP, column j * STRIDE_X + c * DILATION_X - PAD_LEFT,
// or PAD, the bits of a code, in every channel where that lies outside of the frame.
//
//   sliding_window        a word of y is a word of x: all words of a tap, then the next tap; or with CHANNELS_FIRST all
//                         taps of a word of channels, then the next word
//   sliding_window_rows   a word of y is a row of the kernel, all channels of its taps; a word of x is a pixel
//   sliding_window_all    a word of y is a window; a word of x is a pixel
//
// The first two keep words of x in a ring, word i of a frame in slot i % CAPACITY. An iteration reads the next word where
// the ring has room for it, and writes the next word of y where what that needs was read in an iteration before. Words
// from number USED on are in no window; they are read whenever they come and dropped. So the slot that a word is put into
// is never one that the same iteration needs. The third keeps lines, and shifts the pixels under the kernel through
// registers. What is read and written in which iteration depends on the geometry alone; ITERATIONS are those that a frame
// takes. A function moves one frame.
#ifndef SUBBYTE_HLS_SLIDING_WINDOW_H_
#define SUBBYTE_HLS_SLIDING_WINDOW_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

// Geometry. A pixel has WORDS words.
template <int HEIGHT_, int WIDTH_, int WORDS_, int KERNEL_HEIGHT_, int KERNEL_WIDTH_, int STRIDE_Y_, int STRIDE_X_,
          int DILATION_Y_, int DILATION_X_, int PAD_TOP_, int PAD_LEFT_, int OUT_HEIGHT_, int OUT_WIDTH_>
struct Window {
    static const int HEIGHT = HEIGHT_, WIDTH = WIDTH_, WORDS = WORDS_;
    static const int KERNEL_HEIGHT = KERNEL_HEIGHT_, KERNEL_WIDTH = KERNEL_WIDTH_;
    static const int STRIDE_Y = STRIDE_Y_, STRIDE_X = STRIDE_X_;
    static const int DILATION_Y = DILATION_Y_, DILATION_X = DILATION_X_;
    static const int PAD_TOP = PAD_TOP_, PAD_LEFT = PAD_LEFT_;
    static const int OUT_HEIGHT = OUT_HEIGHT_, OUT_WIDTH = OUT_WIDTH_;

    static const int LINE = WIDTH * WORDS;                        // words of a row
    static const int FRAME = HEIGHT * LINE;                       // words of a frame
    static const int REACH_Y = (KERNEL_HEIGHT - 1) * DILATION_Y;  // rows from the first tap to the last
    static const int REACH_X = (KERNEL_WIDTH - 1) * DILATION_X;   // columns
    static const int ACROSS = (OUT_WIDTH - 1) * STRIDE_X;         // columns from the first window of a row to the last

    // Holds word numbers, those of taps around the frame too.
    static const int ROWS = PAD_TOP + HEIGHT + OUT_HEIGHT * STRIDE_Y + REACH_Y + 1;
    static const int COLUMNS = PAD_LEFT + WIDTH + OUT_WIDTH * STRIDE_X + REACH_X + 1;
    typedef ap_int<2 + ceil_log2(ROWS* LINE + COLUMNS * WORDS)> number;
};

// Pixels in the pads: PAD in the lanes of channels, 0 in those that fill up a word.
template <int BITS, int LANES>
ap_uint<BITS * LANES> pad_word(int pad, int channels) {
#pragma HLS INLINE
    ap_uint<BITS * LANES> word = 0;
    for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        if (lane < channels) set_lane<BITS>(word, lane, ap_uint<BITS>(pad));
    }
    return word;
}

// The ring ------------------------------------------------------------------------------------------------------------

// A slot of a ring of BANKS memories with LENGTH words each; of slots one after the other each is in another bank.
template <int BANKS, int LENGTH>
struct Slot {
    ap_uint<index_bits(BANKS)> bank;
    ap_uint<index_bits(LENGTH)> at;

    // The slot `words` further on, or back where negative: a constant, so that its parts are too.
    Slot after(int words) const {
#pragma HLS INLINE
        const int capacity = BANKS * LENGTH;
        const int step = (words % capacity + capacity) % capacity;
        const int in_bank = bank.to_int() + step % BANKS;
        const int in_length = at.to_int() + step / BANKS + (in_bank >= BANKS ? 1 : 0);
        Slot found;
        found.bank = in_bank >= BANKS ? in_bank - BANKS : in_bank;
        found.at = in_length >= LENGTH ? in_length - LENGTH : in_length;
        return found;
    }
};

// The slot of a frame's first word.
template <int BANKS, int LENGTH>
Slot<BANKS, LENGTH> first_slot() {
#pragma HLS INLINE
    Slot<BANKS, LENGTH> slot;
    slot.bank = 0;
    slot.at = 0;
    return slot;
}

// Where a tap is: row * LINE and column * WORDS, negative or behind the frame in the pads, and its slot in the ring.
template <class W, int BANKS, int LENGTH>
struct Tap {
    typename W::number row;
    typename W::number column;
    Slot<BANKS, LENGTH> slot;

    // So many rows down and columns to the right (negative: up, to the left), and the slot `words` further: constants.
    Tap moved(int rows, int columns, int words) const {
#pragma HLS INLINE
        Tap found;
        found.row = row.to_int() + rows * W::LINE;
        found.column = column.to_int() + columns * W::WORDS;
        found.slot = slot.after(rows * W::LINE + columns * W::WORDS + words);
        return found;
    }

    // Whether the tap so many columns to the right is inside of the frame.
    bool inside(int columns) const {
#pragma HLS INLINE
        const int there = column.to_int() + columns * W::WORDS;
        return row.to_int() >= 0 && row.to_int() < W::FRAME && there >= 0 && there < W::LINE;
    }

    // The number of the tap's first word in the frame.
    int word() const {
#pragma HLS INLINE
        return row.to_int() + column.to_int();
    }

    // The first word of the frame that the window beginning here, or one after it, may need.
    int oldest() const {
#pragma HLS INLINE
        if (row.to_int() + W::STRIDE_Y * W::LINE <= 0) return 0;
        const int line = row.to_int() < 0 ? 0 : row.to_int();
        const int words = column.to_int() < 0 ? 0 : column.to_int() > W::LINE ? W::LINE : column.to_int();
        return line + words;
    }
};

// The window that is being written, by its first tap.
template <class W, int BANKS, int LENGTH>
struct Windows {
    Tap<W, BANKS, LENGTH> tap;
    ap_uint<index_bits(W::OUT_HEIGHT + 1)> out_row;
    ap_uint<index_bits(W::OUT_WIDTH)> out_column;

    void start() {
#pragma HLS INLINE
        Tap<W, BANKS, LENGTH> corner;
        corner.row = 0;
        corner.column = 0;
        corner.slot = first_slot<BANKS, LENGTH>();
        tap = corner.moved(-W::PAD_TOP, -W::PAD_LEFT, 0);
        out_row = 0;
        out_column = 0;
    }

    bool finished() const {
#pragma HLS INLINE
        return out_row.to_int() == W::OUT_HEIGHT;
    }

    // The next window.
    void advance() {
#pragma HLS INLINE
        const bool last = out_column.to_int() == W::OUT_WIDTH - 1;
        tap = last ? tap.moved(W::STRIDE_Y, -W::ACROSS, 0) : tap.moved(0, W::STRIDE_X, 0);
        out_row = out_row.to_int() + (last ? 1 : 0);
        out_column = last ? 0 : out_column.to_int() + 1;
    }
};

// The words of x: how many have been read, and whether to read the next.
template <class W, int BANKS, int LENGTH, int USED>
struct Reader {
    ap_uint<index_bits(W::FRAME + 1)> words;
    Slot<BANKS, LENGTH> slot;   // of the next word
    typename W::number oldest;  // word that the ring still has to hold

    void start() {
#pragma HLS INLINE
        words = 0;
        slot = first_slot<BANKS, LENGTH>();
        oldest = 0;
    }

    // Whether the next word goes into the ring: whether a window needs it or one after it.
    bool keeps() const {
#pragma HLS INLINE
        return words.to_int() < USED;
    }

    // Whether there is a next word, and room for it.
    bool reads(bool finished) const {
#pragma HLS INLINE
        const bool room = finished || !keeps() || words.to_int() < oldest.to_int() + BANKS * LENGTH;
        return words.to_int() < W::FRAME && room;
    }

    void advance() {
#pragma HLS INLINE
        words = words.to_int() + 1;
        slot = slot.after(1);
    }
};

// Word by word --------------------------------------------------------------------------------------------------------

// BITS, LANES, CHANNELS: of x, and of y's taps.
template <int BITS, int LANES, int CHANNELS, int PAD, class W, bool CHANNELS_FIRST, int CAPACITY, int USED,
          int ITERATIONS>
void sliding_window(hls::stream<ap_uint<BITS * LANES> >& x, hls::stream<ap_uint<BITS * LANES> >& y) {
    static_assert(W::WORDS == ceil_div(CHANNELS, LANES), "the words of a pixel hold its channels");
    const int lanes_of_last = CHANNELS - (W::WORDS - 1) * LANES;
    ap_uint<BITS * LANES> ring[CAPACITY];
#pragma HLS DEPENDENCE variable = ring intra false
    Reader<W, 1, CAPACITY, USED> reader;
    Windows<W, 1, CAPACITY> windows;
    reader.start();
    windows.start();
    Tap<W, 1, CAPACITY> tap = windows.tap;
    ap_uint<index_bits(W::KERNEL_HEIGHT)> tap_row = 0;
    ap_uint<index_bits(W::KERNEL_WIDTH)> tap_column = 0;
    ap_uint<index_bits(W::WORDS)> fold = 0;  // the word of the tap

    for (int i = 0; i < ITERATIONS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const bool inside = tap.inside(0);
        const bool there = tap.word() + fold.to_int() < reader.words.to_int();
        const bool reads = reader.reads(windows.finished());
        const bool writes = !windows.finished() && (!inside || there);
        ap_uint<BITS * LANES> word = 0;
        if (reads) word = x.read();
        if (writes) {
            const bool last_fold = fold.to_int() == W::WORDS - 1;
            const bool last_column = tap_column.to_int() == W::KERNEL_WIDTH - 1;
            const bool last_row = tap_row.to_int() == W::KERNEL_HEIGHT - 1;
            const ap_uint<BITS * LANES> pad = pad_word<BITS, LANES>(PAD, last_fold ? lanes_of_last : LANES);
            y.write(inside ? ring[tap.slot.at.to_int()] : pad);

            if (last_row && last_column && last_fold) {
                windows.advance();
                reader.oldest = windows.tap.oldest();
                tap = windows.tap;
            } else if (CHANNELS_FIRST) {
                tap = !last_column ? tap.moved(0, W::DILATION_X, 0)
                      : !last_row  ? tap.moved(W::DILATION_Y, -W::REACH_X, 0)
                                   : tap.moved(-W::REACH_Y, -W::REACH_X, 1);
            } else {
                tap = !last_fold     ? tap.moved(0, 0, 1)
                      : !last_column ? tap.moved(0, W::DILATION_X, 1 - W::WORDS)
                                     : tap.moved(W::DILATION_Y, -W::REACH_X, 1 - W::WORDS);
            }
            if (!CHANNELS_FIRST || (last_row && last_column)) fold = last_fold ? 0 : fold.to_int() + 1;
            if (CHANNELS_FIRST || last_fold) {
                tap_column = last_column ? 0 : tap_column.to_int() + 1;
                if (last_column) tap_row = last_row ? 0 : tap_row.to_int() + 1;
            }
        }
        if (reads) {
            if (reader.keeps()) ring[reader.slot.at.to_int()] = word;
            reader.advance();
        }
    }
}

// A row of the kernel at once -----------------------------------------------------------------------------------------

// BITS, CHANNELS: of x. Word i of x is in bank i % BANKS of the ring, so that the taps of a row of the kernel are in
// different banks: each bank is read once, and each tap takes what its own has given.
template <int BITS, int CHANNELS, int PAD, class W, int BANKS, int CAPACITY, int USED, int ITERATIONS>
void sliding_window_rows(hls::stream<ap_uint<BITS * CHANNELS> >& x,
                         hls::stream<ap_uint<BITS * CHANNELS * W::KERNEL_WIDTH> >& y) {
    static_assert(W::WORDS == 1 && CAPACITY % BANKS == 0, "a word of x is a pixel, and all banks are of one length");
    const int pixel_bits = BITS * CHANNELS;
    const int length = CAPACITY / BANKS;
    typedef ap_uint<pixel_bits> Pixel;
    Pixel ring[BANKS][length];
#pragma HLS ARRAY_PARTITION variable = ring complete dim = 1
#pragma HLS DEPENDENCE variable = ring intra false
    Reader<W, BANKS, length, USED> reader;
    Windows<W, BANKS, length> windows;
    reader.start();
    windows.start();
    Tap<W, BANKS, length> tap = windows.tap;  // the first of the row
    ap_uint<index_bits(W::KERNEL_HEIGHT)> tap_row = 0;

    for (int i = 0; i < ITERATIONS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        bool there = true;
        for (int c = 0; c < W::KERNEL_WIDTH; ++c) {
#pragma HLS UNROLL
            const int word = tap.word() + c * W::DILATION_X;
            if (tap.inside(c * W::DILATION_X) && word >= reader.words.to_int()) there = false;
        }
        const bool reads = reader.reads(windows.finished());
        const bool writes = !windows.finished() && there;
        Pixel word = 0;
        if (reads) word = x.read();
        if (writes) {
            Pixel of_bank[BANKS];
#pragma HLS ARRAY_PARTITION variable = of_bank complete
            for (int bank = 0; bank < BANKS; ++bank) {
#pragma HLS UNROLL
                int at = 0;
                bool used = false;
                for (int c = 0; c < W::KERNEL_WIDTH; ++c) {
#pragma HLS UNROLL
                    const Slot<BANKS, length> slot = tap.slot.after(c * W::DILATION_X);
                    if (slot.bank.to_int() == bank && tap.inside(c * W::DILATION_X)) {
                        at = slot.at.to_int();
                        used = true;
                    }
                }
                of_bank[bank] = used ? ring[bank][at] : Pixel(0);
            }
            const Pixel pad = pad_word<BITS, CHANNELS>(PAD, CHANNELS);
            ap_uint<pixel_bits * W::KERNEL_WIDTH> row = 0;
            for (int c = 0; c < W::KERNEL_WIDTH; ++c) {
#pragma HLS UNROLL
                const Slot<BANKS, length> slot = tap.slot.after(c * W::DILATION_X);
                const bool inside = tap.inside(c * W::DILATION_X);
                set_lane<pixel_bits>(row, c, inside ? of_bank[slot.bank.to_int()] : pad);
            }
            y.write(row);

            if (tap_row.to_int() == W::KERNEL_HEIGHT - 1) {
                windows.advance();
                reader.oldest = windows.tap.oldest();
                tap = windows.tap;
                tap_row = 0;
            } else {
                tap = tap.moved(W::DILATION_Y, 0, 0);
                tap_row = tap_row.to_int() + 1;
            }
        }
        if (reads) {
            if (reader.keeps()) ring[reader.slot.bank.to_int()][reader.slot.at.to_int()] = word;
            reader.advance();
        }
    }
}

// All taps at once ----------------------------------------------------------------------------------------------------

// BITS, CHANNELS: of x. Iteration i is step FIRST + i of a scan of rows of SCAN_WIDTH columns, pixel (r, c) of the frame
// being step r * SCAN_WIDTH + c; SCAN_WIDTH is above WIDTH only where pads make the rows of windows longer than those of
// the frame. A step of a pixel reads it. The column of pixels under the kernel that ends in it, from the lines before,
// moves into registers, and where a window is complete, which is once in each step at most, it is written: its taps have
// fixed places in the registers.
template <int BITS, int CHANNELS, int PAD, class W, int SCAN_WIDTH, int FIRST, int ITERATIONS>
void sliding_window_all(hls::stream<ap_uint<BITS * CHANNELS> >& x,
                        hls::stream<ap_uint<BITS * CHANNELS * W::KERNEL_HEIGHT * W::KERNEL_WIDTH> >& y) {
    static_assert(W::WORDS == 1, "a word of x is a pixel");
    const int pixel_bits = BITS * CHANNELS;
    const int first_window = (W::REACH_Y - W::PAD_TOP) * SCAN_WIDTH + W::REACH_X - W::PAD_LEFT;
    const int next_row = W::STRIDE_Y * SCAN_WIDTH - W::ACROSS;  // steps from a row's last window to the next window
    const int first_row = FIRST < 0 ? -((SCAN_WIDTH - 1 - FIRST) / SCAN_WIDTH) : 0;
    const int most_steps = ITERATIONS + SCAN_WIDTH * (W::STRIDE_Y + 1);
    static_assert(FIRST <= 0 && FIRST <= first_window && next_row > 0, "windows are complete one after the other");
    typedef ap_uint<pixel_bits> Pixel;
    typedef ap_int<2 + ceil_log2(W::ROWS + W::COLUMNS + SCAN_WIDTH)> Index;
    const int line_count = larger(W::REACH_Y, 1);

    Pixel lines[line_count][W::WIDTH];  // lines[n]: of the row n + 1 above, and from this column on n + 2 above
#pragma HLS ARRAY_PARTITION variable = lines complete dim = 1
#pragma HLS DEPENDENCE variable = lines inter RAW distance = SCAN_WIDTH true
    Pixel pixels[W::KERNEL_HEIGHT][W::REACH_X + 1];  // the last column is the newest
#pragma HLS ARRAY_PARTITION variable = pixels complete dim = 0
    const Pixel pad = pad_word<BITS, CHANNELS>(PAD, CHANNELS);
    for (int r = 0; r < W::KERNEL_HEIGHT; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c <= W::REACH_X; ++c) {
#pragma HLS UNROLL
            pixels[r][c] = pad;
        }
    }
    Index row = first_row;
    Index column = FIRST - first_row * SCAN_WIDTH;
    Index left = -W::PAD_LEFT;  // column of the next window's first tap
    ap_uint<index_bits(W::OUT_HEIGHT + 1)> out_row = 0;
    ap_uint<index_bits(W::OUT_WIDTH)> out_column = 0;
    ap_uint<index_bits(most_steps)> wait = first_window - FIRST;  // steps until the next window is complete

    for (int i = 0; i < ITERATIONS; ++i) {
#pragma HLS PIPELINE II = 1 style = flp
        SUBBYTE_CYCLE();
        const int at = column.to_int();
        const bool in_line = at < W::WIDTH;
        Pixel newest = pad;
        if (in_line && row.to_int() >= 0 && row.to_int() < W::HEIGHT) newest = x.read();
        for (int r = 0; r < W::KERNEL_HEIGHT; ++r) {
#pragma HLS UNROLL
            const int above = (W::KERNEL_HEIGHT - 1 - r) * W::DILATION_Y;
            const int of = row.to_int() - above;
            const bool inside = in_line && of >= 0 && of < W::HEIGHT;
            for (int c = 0; c < W::REACH_X; ++c) {
#pragma HLS UNROLL
                pixels[r][c] = pixels[r][c + 1];
            }
            if (above == 0)
                pixels[r][W::REACH_X] = newest;
            else
                pixels[r][W::REACH_X] = inside ? lines[above - 1][at] : pad;
        }
        for (int n = W::REACH_Y - 1; n >= 0; --n) {
#pragma HLS UNROLL
            const int of = row.to_int() - n;
            if (in_line && of >= 0 && of < W::HEIGHT) lines[n][at] = n == 0 ? newest : lines[n - 1][at];
        }
        if (wait.to_int() == 0 && out_row.to_int() < W::OUT_HEIGHT) {
            ap_uint<pixel_bits * W::KERNEL_HEIGHT * W::KERNEL_WIDTH> window = 0;
            for (int c = 0; c < W::KERNEL_WIDTH; ++c) {
#pragma HLS UNROLL
                const int of = left.to_int() + c * W::DILATION_X;
                const bool inside = of >= 0 && of < W::WIDTH;
                for (int r = 0; r < W::KERNEL_HEIGHT; ++r) {
#pragma HLS UNROLL
                    set_lane<pixel_bits>(window, r * W::KERNEL_WIDTH + c, inside ? pixels[r][c * W::DILATION_X] : pad);
                }
            }
            y.write(window);
            const bool last = out_column.to_int() == W::OUT_WIDTH - 1;
            left = last ? -W::PAD_LEFT : left.to_int() + W::STRIDE_X;
            wait = (last ? next_row : W::STRIDE_X) - 1;
            out_row = out_row.to_int() + (last ? 1 : 0);
            out_column = last ? 0 : out_column.to_int() + 1;
        } else if (wait.to_int() > 0) {
            wait = wait.to_int() - 1;
        }
        row = row.to_int() + (at == SCAN_WIDTH - 1 ? 1 : 0);
        column = at == SCAN_WIDTH - 1 ? 0 : at + 1;
    }
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_SLIDING_WINDOW_H_
