// What all processes share: lanes of words, what their bits mean, and the macros of C simulation.
//
// A word is ap_uint<LANES * BITS>; lane i is bits [i * BITS, (i + 1) * BITS). Its code, by SIGN:
//   UNSIGNED  the bits as they are           SIGNED  two's complement           BIPOLAR  bit 0 is -1, bit 1 is +1
// Integers only. These headers use no member of ap_int, ap_uint and hls::stream that csim/include does not declare.
#ifndef SUBBYTE_HLS_H_
#define SUBBYTE_HLS_H_

#include "ap_int.h"
#include "hls_stream.h"

// SUBBYTE_CYCLE() starts each iteration of a process' loop; SUBBYTE_PROCESS(name, call) starts a process of a DATAFLOW
// region; SUBBYTE_DATAFLOW_END() ends the region; SUBBYTE_DEPTH(stream, words) repeats the pragma STREAM. In synthesis
// and in plain C simulation processes are calls, one after the other. With SUBBYTE_HLS_CYCLES each of them is a
// coroutine with a clock, and streams hold no more than their depth (csim/include/subbyte_cycles.h).
#if defined(SUBBYTE_HLS_CYCLES) && !defined(__SYNTHESIS__)
#include "subbyte_cycles.h"
#else
#define SUBBYTE_CYCLE() ((void)0)
#define SUBBYTE_PROCESS(name, ...) __VA_ARGS__
#define SUBBYTE_DATAFLOW_END() ((void)0)
#define SUBBYTE_DEPTH(stream, words) ((void)0)
#endif

// SUBBYTE_PROBE(stream, name, width) shows the testbench what a process has written (tb/subbyte_probe.h).
#if defined(SUBBYTE_PROBES) && !defined(__SYNTHESIS__)
#include "subbyte_probe.h"
#define SUBBYTE_PROBE(stream, name, width) subbyte_probe::probe<width>(stream, name)
#else
#define SUBBYTE_PROBE(stream, name, width) ((void)0)
#endif

namespace subbyte_hls {

enum Sign { UNSIGNED = 0, SIGNED = 1, BIPOLAR = 2 };

// The fewest bits that tell n things apart, 0 for one: ceil(log2(n)). A constant of the compiler.
constexpr int ceil_log2(long long n) { return n <= 1 ? 0 : 1 + ceil_log2((n + 1) / 2); }

// The width of a counter 0 .. n - 1, at least 1.
constexpr int index_bits(long long n) { return n <= 2 ? 1 : ceil_log2(n); }

constexpr int larger(int a, int b) { return a > b ? a : b; }

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Codes<BITS, SIGN>: `bits` is what a lane holds, `value` the number that it means.
template <int BITS, int SIGN>
struct Codes;

template <int BITS>
struct Codes<BITS, UNSIGNED> {
    typedef ap_uint<BITS> bits;
    typedef ap_uint<BITS> value;
    static value decode(const bits& lane) { return lane; }
    static bits encode(const value& code) { return code; }
};

template <int BITS>
struct Codes<BITS, SIGNED> {
    typedef ap_uint<BITS> bits;
    typedef ap_int<BITS> value;
    static value decode(const bits& lane) { return value(lane); }
    static bits encode(const value& code) { return bits(code); }
};

template <>
struct Codes<1, BIPOLAR> {
    typedef ap_uint<1> bits;
    typedef ap_int<2> value;
    static value decode(const bits& lane) { return lane == 0 ? value(-1) : value(1); }
    static bits encode(const value& code) { return code < 0 ? bits(0) : bits(1); }
};

// The bits of lane `lane` of a word.
template <int BITS, int W>
ap_uint<BITS> get_lane(const ap_uint<W>& word, int lane) {
#pragma HLS INLINE
    const ap_uint<BITS> bits = word.range(lane * BITS + BITS - 1, lane * BITS);
    return bits;
}

// Puts bits into lane `lane` of a word.
template <int BITS, int W>
void set_lane(ap_uint<W>& word, int lane, const ap_uint<BITS>& bits) {
#pragma HLS INLINE
    word.range(lane * BITS + BITS - 1, lane * BITS) = bits;
}

// The code in lane `lane` of a word.
template <int BITS, int SIGN, int W>
typename Codes<BITS, SIGN>::value get_code(const ap_uint<W>& word, int lane) {
#pragma HLS INLINE
    return Codes<BITS, SIGN>::decode(get_lane<BITS>(word, lane));
}

// Puts a code into lane `lane` of a word.
template <int BITS, int SIGN, int W>
void set_code(ap_uint<W>& word, int lane, const typename Codes<BITS, SIGN>::value& code) {
#pragma HLS INLINE
    set_lane<BITS>(word, lane, Codes<BITS, SIGN>::encode(code));
}

}  // namespace subbyte_hls

#endif  // SUBBYTE_HLS_H_
