// Sums of products of codes of 1 or 2 bits with constant weights of at most four values, by tables of such sums.
//
// A cell is a byte made of the codes of a few neighbouring channels; it is the number of a row of the tables. A byte of
// weights holds the weights that those codes meet, as codes of 1 or 2 bits, and is looked up in that row: one look-up gives
// the sum of 2 to 6 products for every byte of a register, each byte another output.

#ifndef SUBBYTE_X86_LOOKUP_SUMS_H
#define SUBBYTE_X86_LOOKUP_SUMS_H

#include "x86_sums.h"

// What a byte of weights is looked up in, with the row of its cell:
//   SUBBYTE_X86_NIBBLES: its lower and upper half each in 16 entries of their own; rows of 32 bytes;
//   SUBBYTE_X86_OUTPUTS: its lower half, and its upper half for the next vector of outputs, in the same 16 entries; rows of
//                        16 bytes;
//   SUBBYTE_X86_SEXTETS: the byte, below 64, in 64 entries; rows of 64 bytes, 64 of them.
// code_bits: of a code in a cell, code i of a cell has bits i * code_bits and up; a cell of SEXTETS is 6 bits, else 8. cells: of
// a pixel; codes behind the last channel are 0. zero_cell, zero_last: a cell, the last cell of a pixel, of zero points.
// chunk: cells of a run whose products are summed in 8 bits; a run is a row of the window, a tap where it is dilated.
// chunks: how many of these are summed in 16 bits.
struct subbyte_x86_lookup_sums {
    int32_t form, code_bits, cells, zero_cell, zero_last, chunk, chunks;
};

enum { SUBBYTE_X86_NIBBLES = 0, SUBBYTE_X86_OUTPUTS = 1, SUBBYTE_X86_SEXTETS = 2 };

enum { SUBBYTE_X86_LOOKUP_PIXELS = 8, SUBBYTE_X86_LOOKUP_VECTORS = 4 };  // the most of a register tile

#endif  // SUBBYTE_X86_LOOKUP_SUMS_H
