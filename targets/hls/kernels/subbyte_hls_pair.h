// y = pair(a, b) of two narrow codes in integers: additions, subtractions and products of tensors of codes.
//
// A functor of a layer is generated around its constants (NAME_...) and calls what follows;
// `functor.template apply<LANE>(a, b)` takes the bits of both codes and gives the bits of y's. All tables are indexed by
// the bits of a code, so that nothing is subtracted; entries for bits that are no code are 0.
//
//   table   y = table[a][b]                                  for few bits
//   sums    y = steps(left[a] + right[b])                    left, right: integers on one grid, as narrow as they can be
//   products  y = steps(left[a] * right[b])                  steps: subbyte_hls_steps.h
//
// Each was compared with the float32 arithmetic of the model for every pair of codes.
#ifndef SUBBYTE_HLS_PAIR_H_
#define SUBBYTE_HLS_PAIR_H_

#include "ap_int.h"
#include "subbyte_hls_steps.h"

namespace subbyte_hls {

// table[a][b].
template <int Y_BITS, int A_BITS, int B_BITS, int A_COUNT, int B_COUNT>
ap_uint<Y_BITS> pair_table(const ap_uint<A_BITS>& a, const ap_uint<B_BITS>& b,
                           const ap_uint<Y_BITS> (&table)[A_COUNT][B_COUNT]) {
#pragma HLS INLINE
    static_assert(A_COUNT == 1 << A_BITS && B_COUNT == 1 << B_BITS, "a table has an entry for all bits of both codes");
    return table[a.to_uint()][b.to_uint()];
}

// table[bits]: what an operand contributes.
template <int BITS, int COUNT, typename Entry>
Entry pair_operand(const ap_uint<BITS>& bits, const Entry (&table)[COUNT]) {
#pragma HLS INLINE
    static_assert(COUNT == 1 << BITS, "a table has an entry for all bits of a code");
    return table[bits.to_uint()];
}

// code * 2^SHIFT + ADDED, for an operand whose table is just that. Code: ap_int or ap_uint of the bits.
template <int BITS, int SHIFT, typename Code>
ap_int<BITS> pair_shifted(const Code& code, const ap_int<BITS>& added) {
#pragma HLS INLINE
    return ap_int<BITS>((ap_int<BITS>(code) << SHIFT) + added);
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_PAIR_H_
