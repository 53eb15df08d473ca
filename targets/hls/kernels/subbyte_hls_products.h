// How a lane multiplies: a code of x by a weight, both as the bits that stand in their words; and sums over lanes.
//
// A product is a type with
//   X_BITS, WEIGHT_BITS   the bits of a code of x and of a weight in its ROM
//   HAS_ZERO              whether a weight can say zero; lanes that fill words up then have weight zero, and where it
//                         cannot they are left out by their place
//   Result of(x, weight)  the product, within RESULT_BITS in two's complement
//
//   Multiply         x * w by whatever multiplier the tool picks; MultiplyInDsp, MultiplyInFabric: by the one named
//   Xnor             x and w in -1, +1, a bit each: x * w + 1 = 2 * (x == w), so that a sum over K lanes counts equal
//                    bits and comes out too large by K; the bias has that K taken off
//   AddBipolar       w in -1, +1, a bit: x or -x                                AddTernary   w in -1, 0, +1, two bits
//   ShiftAdd         w = sum of up to TERMS signed powers of two up to 2^MOST_SHIFT; no multiplier
#ifndef SUBBYTE_HLS_PRODUCTS_H_
#define SUBBYTE_HLS_PRODUCTS_H_

#include "subbyte_hls.h"

namespace subbyte_hls {

template <int X_BITS_, int X_SIGN, int WEIGHT_BITS_, int WEIGHT_SIGN>
struct Multiply {
    static constexpr int X_BITS = X_BITS_;
    static constexpr int WEIGHT_BITS = WEIGHT_BITS_;
    static constexpr bool HAS_ZERO = true;
    static constexpr int RESULT_BITS = X_BITS + WEIGHT_BITS + (X_SIGN == UNSIGNED && WEIGHT_SIGN == UNSIGNED);
    typedef ap_int<RESULT_BITS> Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<WEIGHT_BITS>& weight) {
#pragma HLS INLINE
        return Result(Codes<X_BITS, X_SIGN>::decode(x) * Codes<WEIGHT_BITS, WEIGHT_SIGN>::decode(weight));
    }
};

template <int X_BITS, int X_SIGN, int WEIGHT_BITS, int WEIGHT_SIGN>
struct MultiplyInDsp : Multiply<X_BITS, X_SIGN, WEIGHT_BITS, WEIGHT_SIGN> {
    typedef typename Multiply<X_BITS, X_SIGN, WEIGHT_BITS, WEIGHT_SIGN>::Result Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<WEIGHT_BITS>& weight) {
#pragma HLS INLINE
        const Result product = Codes<X_BITS, X_SIGN>::decode(x) * Codes<WEIGHT_BITS, WEIGHT_SIGN>::decode(weight);
#pragma HLS BIND_OP variable = product op = mul impl = dsp
        return product;
    }
};

template <int X_BITS, int X_SIGN, int WEIGHT_BITS, int WEIGHT_SIGN>
struct MultiplyInFabric : Multiply<X_BITS, X_SIGN, WEIGHT_BITS, WEIGHT_SIGN> {
    typedef typename Multiply<X_BITS, X_SIGN, WEIGHT_BITS, WEIGHT_SIGN>::Result Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<WEIGHT_BITS>& weight) {
#pragma HLS INLINE
        const Result product = Codes<X_BITS, X_SIGN>::decode(x) * Codes<WEIGHT_BITS, WEIGHT_SIGN>::decode(weight);
#pragma HLS BIND_OP variable = product op = mul impl = fabric
        return product;
    }
};

struct Xnor {
    static constexpr int X_BITS = 1;
    static constexpr int WEIGHT_BITS = 1;
    static constexpr bool HAS_ZERO = false;
    static constexpr int RESULT_BITS = 3;
    typedef ap_uint<2> Result;

    static Result of(const ap_uint<1>& x, const ap_uint<1>& weight) {
#pragma HLS INLINE
        return x == weight ? Result(2) : Result(0);
    }
};

template <int X_BITS_, int X_SIGN>
struct AddBipolar {
    static constexpr int X_BITS = X_BITS_;
    static constexpr int WEIGHT_BITS = 1;
    static constexpr bool HAS_ZERO = false;
    static constexpr int RESULT_BITS = X_BITS + 1;
    typedef ap_int<RESULT_BITS> Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<1>& weight) {
#pragma HLS INLINE
        const Result code = Codes<X_BITS, X_SIGN>::decode(x);
        return weight == 0 ? Result(-code) : code;
    }
};

// A weight's low bit: it is not zero; its high bit: it is negative. That is -1, 0 and 1 in two's complement.
template <int X_BITS_, int X_SIGN>
struct AddTernary {
    static constexpr int X_BITS = X_BITS_;
    static constexpr int WEIGHT_BITS = 2;
    static constexpr bool HAS_ZERO = true;
    static constexpr int RESULT_BITS = X_BITS + 1;
    typedef ap_int<RESULT_BITS> Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<2>& weight) {
#pragma HLS INLINE
        const Result code = Codes<X_BITS, X_SIGN>::decode(x);
        if (weight == 0) return Result(0);
        return weight == 1 ? code : Result(-code);
    }
};

// A weight is TERMS fields, from the low bits up: bit 0 of a field: there is a term; bit 1: it is negative; above: its
// shift, another in each. A field without a term is 0.
template <int X_BITS_, int X_SIGN, int TERMS, int MOST_SHIFT>
struct ShiftAdd {
    static constexpr int X_BITS = X_BITS_;
    static constexpr int SHIFT_BITS = index_bits(MOST_SHIFT + 1);
    static constexpr int FIELD_BITS = SHIFT_BITS + 2;
    static constexpr int WEIGHT_BITS = TERMS * FIELD_BITS;
    static constexpr bool HAS_ZERO = true;
    static constexpr int RESULT_BITS = X_BITS + MOST_SHIFT + 1 + (TERMS > 1);
    typedef ap_int<RESULT_BITS> Result;

    static Result of(const ap_uint<X_BITS>& x, const ap_uint<WEIGHT_BITS>& weight) {
#pragma HLS INLINE
        const Result code = Codes<X_BITS, X_SIGN>::decode(x);
        Result sum = 0;
        for (int term = 0; term < TERMS; ++term) {
#pragma HLS UNROLL
            const ap_uint<FIELD_BITS> field = get_lane<FIELD_BITS>(weight, term);
            const ap_uint<SHIFT_BITS> shift = field.range(FIELD_BITS - 1, 2);
            const Result shifted = code << shift.to_int();
            const Result addend = field[1] ? Result(-shifted) : shifted;
            if (field[0]) sum += addend;
        }
        return sum;
    }
};

// The bits of a sum of so many products.
template <class Product, int LANES>
constexpr int bits_of_sum() {
    return Product::RESULT_BITS + ceil_log2(LANES);
}

// The sum over lanes of x[lane] * weights[lane], a tree of adders; `only_live` leaves out lanes LIVE and above where
// Product has no zero.
template <class Product, int LANES, int LIVE>
ap_int<bits_of_sum<Product, LANES>()> sum_of_products(const ap_uint<LANES * Product::X_BITS>& x,
                                                      const ap_uint<LANES * Product::WEIGHT_BITS>& weights,
                                                      bool only_live) {
#pragma HLS INLINE
    ap_int<bits_of_sum<Product, LANES>()> sum = 0;
    for (int lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        if (Product::HAS_ZERO || lane < LIVE || !only_live) {
            sum += Product::of(get_lane<Product::X_BITS>(x, lane), get_lane<Product::WEIGHT_BITS>(weights, lane));
        }
    }
    return sum;
}

// Requantizes lanes LANE.. of a word: lane l of y is the bits that steps.apply<l>(sums[l], fold) gives, and 0 from LIVE
// on where `only_live`: lanes that fill a word up carry 0. steps may do other things in each lane, so that a lane's
// number is a constant to it; hence a template in place of a loop.
template <int LANE, int LANES, int LIVE>
struct Requantize {
    template <int Y_BITS, int SUM_BITS, class Steps>
    static void lanes(const ap_int<SUM_BITS> (&sums)[LANES], int fold, bool only_live, const Steps& steps,
                      ap_uint<LANES * Y_BITS>& y) {
#pragma HLS INLINE
        if (LANE < LIVE || !only_live) {
            set_lane<Y_BITS>(y, LANE, ap_uint<Y_BITS>(steps.template apply<LANE>(sums[LANE], fold)));
        }
        Requantize<LANE + 1, LANES, LIVE>::template lanes<Y_BITS>(sums, fold, only_live, steps, y);
    }
};

template <int LANES, int LIVE>
struct Requantize<LANES, LANES, LIVE> {
    template <int Y_BITS, int SUM_BITS, class Steps>
    static void lanes(const ap_int<SUM_BITS> (&)[LANES], int, bool, const Steps&, ap_uint<LANES * Y_BITS>&) {}
};

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_PRODUCTS_H_
