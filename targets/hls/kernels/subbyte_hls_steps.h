// From sums to codes in integers: y = steps(acc), a monotone staircase or whatever table follows it.
//
// A functor of a layer is generated around its constants (NAME_steps...), each [lanes][words of channels], or [1][1]
// where all channels share them, and calls what follows; `functor.template apply<LANE>(acc, fold)` gives the bits of the
// code of channel fold * lanes + LANE. acc is any ap_int or ap_uint that holds every sum; the functor brings it to the
// signed type of its steps, by saturation where that is narrower. Lanes that fill up a last word have constants of 0, and
// their codes mean nothing.
//
//   compare      y = first +- number of steps <= acc           every step compared at once, one adder tree
//   search       the same number, a bit in each of ceil(log2(steps + 1)) comparisons, one after the other
//   table        y = codes[number], where the codes of a staircase are not consecutive
//   fixed point  y = clamp((acc * multiplier + offset) >> shift) and the few accumulators at which that is not exact
//
// Each was proved equal to the float32 arithmetic of the model for every sum that can occur.
#ifndef SUBBYTE_HLS_STEPS_H_
#define SUBBYTE_HLS_STEPS_H_

#include "ap_int.h"

namespace subbyte_hls {

// y = acc: the low Y_BITS of a sum.
template <int Y_BITS>
struct Unchanged {
    template <int LANE, typename Acc>
    ap_uint<Y_BITS> apply(const Acc& acc, int) const {
#pragma HLS INLINE
        return ap_uint<Y_BITS>(acc);
    }
};

// A sum within LOW..HIGH, beyond which no code changes, in BITS bits: what follows gets narrower.
template <int BITS, long long LOW, long long HIGH, typename Acc>
ap_int<BITS> saturated(const Acc& acc) {
#pragma HLS INLINE
    if (acc < LOW) return ap_int<BITS>(LOW);
    if (acc > HIGH) return ap_int<BITS>(HIGH);
    return ap_int<BITS>(acc);
}

// How many of COUNT steps are <= acc, COUNT < 2^BITS.
template <int BITS, int COUNT, typename Acc, typename Step>
ap_uint<BITS> compare_steps(const Acc& acc, const Step (&steps)[COUNT]) {
#pragma HLS INLINE
    ap_uint<BITS> reached = 0;
    for (int i = 0; i < COUNT; ++i) {
#pragma HLS UNROLL
        if (acc >= steps[i]) reached += 1;
    }
    return reached;
}

// A comparison of a binary search among 2^BITS - 1 steps. `above` is what the LEVEL comparisons before have found, the
// upper bits of the number of steps <= acc; the result has one bit more. steps: those that this comparison may need,
// steps[i] being number (2 * i + 1) * 2^(BITS - 1 - LEVEL) - 1 of all.
template <int LEVEL, int ABOVE, int COUNT, typename Acc, typename Step>
ap_uint<LEVEL + 1> search_step(const Acc& acc, const ap_uint<ABOVE>& above, const Step (&steps)[COUNT]) {
#pragma HLS INLINE
    static_assert(COUNT == 1 << LEVEL, "each comparison of a search has twice the steps of the one before");
    const ap_uint<LEVEL + 1> twice = ap_uint<LEVEL + 1>(above) << 1;
    const ap_uint<LEVEL + 1> one = 1;
    return acc >= steps[above.to_uint()] ? ap_uint<LEVEL + 1>(twice | one) : twice;
}

// The bits of first + reached, or first - reached where FALLING.
template <int Y_BITS, bool FALLING, int BITS, typename First>
ap_uint<Y_BITS> count_from(const First& first, const ap_uint<BITS>& reached) {
#pragma HLS INLINE
    return FALLING ? ap_uint<Y_BITS>(first - reached) : ap_uint<Y_BITS>(first + reached);
}

// clamp((acc * multiplier + offset) >> SHIFT, LOW, HIGH); every value on the way is within P_BITS.
template <int P_BITS, int SHIFT, int LOW, int HIGH, int CODE_BITS, typename Acc, typename Multiplier, typename Offset>
ap_int<CODE_BITS> fixed_point(const Acc& acc, const Multiplier& multiplier, const Offset& offset) {
#pragma HLS INLINE
    const ap_int<P_BITS> p = acc * multiplier + offset;
    const ap_int<P_BITS> code = p >> SHIFT;
    if (code < LOW) return ap_int<CODE_BITS>(LOW);
    if (code > HIGH) return ap_int<CODE_BITS>(HIGH);
    return ap_int<CODE_BITS>(code);
}

// The same rounded to the nearest code, and within `tie` of the middle of two to that with code % 2 == TIES_TO.
template <int P_BITS, int SHIFT, int LOW, int HIGH, int CODE_BITS, int TIES_TO, typename Acc, typename Multiplier,
          typename Offset, typename Tie>
ap_int<CODE_BITS> fixed_point_ties(const Acc& acc, const Multiplier& multiplier, const Offset& offset, const Tie& tie) {
#pragma HLS INLINE
    const ap_int<P_BITS> p = acc * multiplier + offset;
    const ap_int<P_BITS> below = p >> SHIFT;
    const ap_int<P_BITS> half = ap_int<P_BITS>(1) << (SHIFT - 1);
    ap_int<P_BITS> rounded = p + half - 1;
    if (below[0] != (TIES_TO != 0)) rounded += tie;
    const ap_int<P_BITS> code = rounded >> SHIFT;
    if (code < LOW) return ap_int<CODE_BITS>(LOW);
    if (code > HIGH) return ap_int<CODE_BITS>(HIGH);
    return ap_int<CODE_BITS>(code);
}

// The sum of add[e] for at[e] == acc.
template <int ADD_BITS, int COUNT, typename Acc, typename At, typename Add>
ap_int<ADD_BITS> exceptions(const Acc& acc, const At (&at)[COUNT], const Add (&add)[COUNT]) {
#pragma HLS INLINE
    ap_int<ADD_BITS> sum = 0;
    for (int e = 0; e < COUNT; ++e) {
#pragma HLS UNROLL
        if (acc == at[e]) sum += add[e];
    }
    return sum;
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_STEPS_H_
