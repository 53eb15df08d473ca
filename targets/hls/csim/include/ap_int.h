// ap_int<N> and ap_uint<N> for C simulation with any C++14 compiler: N-bit integers, N from 1 to thousands.
//
// A stand-in for the header of the same name that comes with HLS tools, with the members that the kernels use and the
// same results (what those do differently from each other is left out or ends the program):
//   construction    from integers, bool, other widths, ranges and bits: the value modulo 2^N; from ("0x1f", 16)
//   a + b, a - b    wide enough for every result; a - b and -a are signed          a * b    the sum of the widths
//   a & b | ^, ~a   the wider of the two, signed where one is                      << >>    the width of the left side
//   == != < ...     by value; a negative number with an unsigned one of its width or more is refused
//   x[i], x.range(hi, lo), x(hi, lo)    read and written, unsigned                 x.to_int(), to_uint64(), ...
// C++ integers take part as ap_int or ap_uint of their width. Constructors from integers are constexpr, so that ROMs
// are data and not code. There is no conversion to C++ integers but by name.
#ifndef SUBBYTE_CSIM_AP_INT_H_
#define SUBBYTE_CSIM_AP_INT_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <type_traits>

template <int N>
class ap_int;
template <int N>
class ap_uint;

namespace subbyte_ap {

constexpr int larger(int a, int b) { return a > b ? a : b; }

// ap_int or ap_uint of a width.
template <int N, bool S>
struct sized {
    typedef ap_uint<N> type;
};
template <int N>
struct sized<N, true> {
    typedef ap_int<N> type;
};

// The types of results; N and S are width and signedness of each side.
template <int N1, bool S1, int N2, bool S2>
struct result {
    static const bool any_signed = S1 || S2;
    static const int common = larger(N1 + (S2 && !S1), N2 + (S1 && !S2));  // holds both
    typedef typename sized<common + 1, any_signed>::type sum;
    typedef typename sized<common + 1, true>::type difference;
    typedef typename sized<N1 + N2, any_signed>::type product;
    typedef typename sized<common, any_signed>::type bitwise;
};

// A C++ integer as ap_int or ap_uint of its width; nothing for other types.
template <class T, bool = std::is_integral<T>::value>
struct native {};
template <class T>
struct native<T, true> {
    static const bool is_signed = std::is_signed<T>::value;
    static const int width = std::is_same<T, bool>::value ? 1 : 8 * static_cast<int>(sizeof(T));
    typedef typename sized<width, is_signed>::type type;
};

// The low `bits` bits, 1 to 64, of a word, zeros or copies of the highest of them above.
constexpr uint64_t extended(uint64_t word, int bits, bool as_signed) {
    return bits >= 64  ? word
           : as_signed ? ((word << (64 - bits)) >> (64 - bits)) |
                             (((word >> (bits - 1)) & 1) ? ~static_cast<uint64_t>(0) << bits : static_cast<uint64_t>(0))
                       : (word << (64 - bits)) >> (64 - bits);
}

// The two words of a * b.
inline void multiply(uint64_t a, uint64_t b, uint64_t& high, uint64_t& low) {
    const uint64_t mask = 0xffffffffULL;
    const uint64_t ll = (a & mask) * (b & mask), lh = (a & mask) * (b >> 32);
    const uint64_t hl = (a >> 32) * (b & mask), hh = (a >> 32) * (b >> 32);
    const uint64_t middle = (ll >> 32) + (lh & mask) + (hl & mask);
    low = (middle << 32) | (ll & mask);
    high = hh + (lh >> 32) + (hl >> 32) + (middle >> 32);
}

// Ends the program: a range or a bit lies outside of its number.
inline void not_inside(int lo, int count, int width) {
    fprintf(stderr, "ap_int: %d bits from bit %d on are asked of a number of %d bits\n", count, lo, width);
    abort();
}

template <int N, bool S>
class number;

// Bits hi..lo of a number, read as an unsigned number. Valid as long as the number is.
template <int N, bool S>
class const_range {
  public:
    const_range(const number<N, S>& of, int hi, int lo) : of_(&of), hi_(hi), lo_(lo) {}
    int width() const { return hi_ - lo_ + 1; }
    // Word i of the range.
    uint64_t word(int i) const { return 64 * i < width() ? of_->bits_from(lo_ + 64 * i, width() - 64 * i) : 0; }
    uint64_t to_uint64() const { return word(0); }
    int64_t to_int64() const { return static_cast<int64_t>(word(0)); }
    unsigned to_uint() const { return static_cast<unsigned>(word(0)); }
    int to_int() const { return static_cast<int>(static_cast<unsigned>(word(0))); }

  private:
    const number<N, S>* of_;
    int hi_, lo_;
};

// The same of a number that can be written.
template <int N, bool S>
class range_reference : public const_range<N, S> {
  public:
    range_reference(number<N, S>& of, int hi, int lo) : const_range<N, S>(of, hi, lo), target_(&of), lo_(lo) {}
    range_reference(const range_reference&) = default;
    template <int N2, bool S2>
    range_reference& operator=(const number<N2, S2>& value) {
        const number<N2, S2> copy(value);  // which may be the number itself
        for (int i = 0; 64 * i < this->width(); ++i) {
            target_->put_bits(lo_ + 64 * i, this->width() - 64 * i, copy.word(i));
        }
        return *this;
    }
    template <int N2, bool S2>
    range_reference& operator=(const const_range<N2, S2>& value) {
        return *this = number<N2, false>(value);
    }
    range_reference& operator=(const range_reference& value) { return *this = number<N, false>(value); }
    template <class T>
    typename std::enable_if<std::is_integral<T>::value, range_reference&>::type operator=(T value) {
        return *this = number<native<T>::width, native<T>::is_signed>(value);
    }

  private:
    number<N, S>* target_;
    int lo_;
};

// Bit i of a number that can be written.
template <int N, bool S>
class bit_reference {
  public:
    bit_reference(number<N, S>& of, int i) : of_(&of), i_(i) {}
    bit_reference(const bit_reference&) = default;
    operator bool() const { return of_->bits_from(i_, 1) != 0; }
    bit_reference& operator=(bool bit) {
        of_->put_bits(i_, 1, bit);
        return *this;
    }
    bit_reference& operator=(const bit_reference& bit) { return *this = static_cast<bool>(bit); }
    template <int N2, bool S2>
    bit_reference& operator=(const bit_reference<N2, S2>& bit) {
        return *this = static_cast<bool>(bit);
    }
    template <int N2, bool S2>
    bit_reference& operator=(const number<N2, S2>& value) {
        return *this = value != 0;
    }

  private:
    number<N, S>* of_;
    int i_;
};

// N bits in words of 64, the lowest first; in the last one, bits above N repeat the sign or are 0.
template <int N, bool S>
class number {
    static_assert(N >= 1, "ap_int and ap_uint have at least one bit");

  public:
    static const int width = N;
    static const int words = (N + 63) / 64;
    static const int last_bits = N - 64 * (words - 1);

    constexpr number() : words_() {}

    template <class T, typename std::enable_if<std::is_integral<T>::value, int>::type = 0>
    constexpr number(T value) : words_() {
        words_[0] = static_cast<uint64_t>(value);
        const uint64_t above = std::is_signed<T>::value && value < T(0) ? ~static_cast<uint64_t>(0) : 0;
        for (int i = 1; i < words; ++i) words_[i] = above;
        words_[words - 1] = extended(words_[words - 1], last_bits, S);
    }

    template <int N2, bool S2>
    constexpr number(const number<N2, S2>& value) : words_() {
        words_[0] = value.word(0);
        for (int i = 1; i < words; ++i) words_[i] = value.word(i);
        words_[words - 1] = extended(words_[words - 1], last_bits, S);
    }

    template <int N2, bool S2>
    number(const const_range<N2, S2>& range) : words_() {
        words_[0] = range.word(0);
        for (int i = 1; i < words; ++i) words_[i] = range.word(i);
        words_[words - 1] = extended(words_[words - 1], last_bits, S);
    }

    template <int N2, bool S2>
    number(const bit_reference<N2, S2>& bit) : number(static_cast<bool>(bit)) {}

    // Hexadecimal digits after an optional sign and 0x; other radices than 16 are not read.
    number(const char* digits, int radix) : words_() {
        const bool negative = *digits == '-';
        if (negative) ++digits;
        if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) digits += 2;
        for (; radix == 16 && *digits != '\0'; ++digits) {
            const char c = *digits;
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c - 'A' + 10;
            for (int i = words - 1; i > 0; --i) words_[i] = (words_[i] << 4) | (words_[i - 1] >> 60);
            words_[0] = (words_[0] << 4) | static_cast<uint64_t>(digit);
        }
        words_[words - 1] = extended(words_[words - 1], last_bits, S);
        if (negative) *this = number(-*this);
    }

    // Word i of the number; beyond the last one its sign, or 0.
    constexpr uint64_t word(int i) const {
        return i < words ? words_[i] : is_negative() ? ~static_cast<uint64_t>(0) : static_cast<uint64_t>(0);
    }

    constexpr bool is_negative() const { return S && (words_[words - 1] >> 63) != 0; }

    uint64_t to_uint64() const { return words_[0]; }
    int64_t to_int64() const { return static_cast<int64_t>(words_[0]); }
    unsigned to_uint() const { return static_cast<unsigned>(words_[0]); }
    int to_int() const { return static_cast<int>(static_cast<unsigned>(words_[0])); }

    const_range<N, S> range(int hi, int lo) const { return const_range<N, S>(*this, hi, lo); }
    range_reference<N, S> range(int hi, int lo) { return range_reference<N, S>(*this, hi, lo); }
    const_range<N, S> operator()(int hi, int lo) const { return range(hi, lo); }
    range_reference<N, S> operator()(int hi, int lo) { return range(hi, lo); }
    bool operator[](int i) const { return bits_from(i, 1) != 0; }
    bit_reference<N, S> operator[](int i) { return bit_reference<N, S>(*this, i); }

    // `count` bits from bit `lo` on, at most 64 of them.
    uint64_t bits_from(int lo, int count) const {
        if (lo < 0 || count < 1 || lo + (count > 64 ? 64 : count) > N) not_inside(lo, count, N);
        const int i = words == 1 ? 0 : lo / 64, shift = words == 1 ? lo : lo % 64;
        uint64_t value = words_[i] >> shift;
        if (words > 1 && shift != 0 && i + 1 < words) value |= words_[i + 1] << (64 - shift);
        return extended(value, count, false);
    }

    // Puts the low `count` bits of `value`, at most 64 of them, at bit `lo`.
    void put_bits(int lo, int count, uint64_t value) {
        if (lo < 0 || count < 1 || lo + (count > 64 ? 64 : count) > N) not_inside(lo, count, N);
        const uint64_t mask = count >= 64 ? ~static_cast<uint64_t>(0) : (static_cast<uint64_t>(1) << count) - 1;
        const int i = words == 1 ? 0 : lo / 64, shift = words == 1 ? lo : lo % 64;
        words_[i] = (words_[i] & ~(mask << shift)) | ((value & mask) << shift);
        if (words > 1 && shift != 0 && i + 1 < words) {
            words_[i + 1] = (words_[i + 1] & ~(mask >> (64 - shift))) | ((value & mask) >> (64 - shift));
        }
        words_[words - 1] = extended(words_[words - 1], last_bits, S);
    }

    typename sized<N, S>::type operator~() const {
        typename sized<N, S>::type r;
        for (int i = 0; i < words; ++i) r.words_[i] = ~words_[i];
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }

    typename result<1, false, N, S>::difference operator-() const { return number<1, false>() - *this; }

    // A shift by fewer than 0 bits goes the other way; one by the width or more leaves 0, or of `>>` the sign.
    typename sized<N, S>::type operator<<(int count) const { return count >= 0 ? up(count) : down(-count); }
    typename sized<N, S>::type operator>>(int count) const { return count >= 0 ? down(count) : up(-count); }

    template <class T>
    number& operator+=(const T& value) {
        return *this = number(*this + value);
    }
    template <class T>
    number& operator-=(const T& value) {
        return *this = number(*this - value);
    }

    // The arithmetic of two numbers that already have the type of the result.
    static number added(const number& a, const number& b) {
        number r;
        uint64_t carry = 0;
        for (int i = 0; i < words; ++i) {
            const uint64_t partial = a.words_[i] + b.words_[i];
            r.words_[i] = partial + carry;
            if (words > 1) carry = (partial < a.words_[i]) | (r.words_[i] < partial);
        }
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }
    static number subtracted(const number& a, const number& b) {
        number r;
        uint64_t borrow = 0;
        for (int i = 0; i < words; ++i) {
            const uint64_t partial = a.words_[i] - b.words_[i];
            r.words_[i] = partial - borrow;
            if (words > 1) borrow = (a.words_[i] < b.words_[i]) | (partial < borrow);
        }
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }
    static number multiplied(const number& a, const number& b) {
        number r;
        if (words == 1) {
            r.words_[0] = a.words_[0] * b.words_[0];
        } else {
            for (int i = 0; i < words; ++i) {
                uint64_t carry = 0;
                for (int j = 0; i + j < words; ++j) {
                    uint64_t high, low;
                    multiply(a.words_[i], b.words_[j], high, low);
                    low += carry;
                    high += low < carry;
                    r.words_[i + j] += low;
                    carry = high + (r.words_[i + j] < low);
                }
            }
        }
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }
    static number combined(const number& a, const number& b, char how) {
        number r;
        for (int i = 0; i < words; ++i) {
            const uint64_t x = a.words_[i], y = b.words_[i];
            r.words_[i] = how == '&' ? x & y : how == '|' ? x | y : x ^ y;
        }
        return r;
    }

  private:
    template <int N2, bool S2>
    friend class number;

    typename sized<N, S>::type up(int count) const {
        typename sized<N, S>::type r;
        if (count >= N) return r;
        const int whole = words == 1 ? 0 : count / 64, part = words == 1 ? count : count % 64;
        for (int i = words - 1; i >= whole; --i) {
            r.words_[i] = words_[i - whole] << part;
            if (part != 0 && i > whole) r.words_[i] |= words_[i - whole - 1] >> (64 - part);
        }
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }

    typename sized<N, S>::type down(int count) const {
        const uint64_t above = is_negative() ? ~static_cast<uint64_t>(0) : 0;
        typename sized<N, S>::type r;
        if (count >= N) count = N;
        const int whole = count / 64, part = count % 64;
        for (int i = 0; i < words; ++i) {
            r.words_[i] = word(i + whole) >> part;
            if (part != 0) r.words_[i] |= (i + whole + 1 < words ? words_[i + whole + 1] : above) << (64 - part);
        }
        r.words_[words - 1] = extended(r.words_[words - 1], last_bits, S);
        return r;
    }

    uint64_t words_[words];
};

// Ends the program: HLS tools compare such numbers as if both were unsigned.
inline void not_comparable(int signed_width, int unsigned_width) {
    fprintf(stderr, "ap_int: a negative number of %d bits is compared with an unsigned one of %d bits\n", signed_width,
            unsigned_width);
    abort();
}

// a ? b by value: -1, 0 or 1.
template <int N1, bool S1, int N2, bool S2>
inline int compared(const number<N1, S1>& a, const number<N2, S2>& b) {
    if (S1 && !S2 && N1 <= N2 && a.is_negative()) not_comparable(N1, N2);
    if (S2 && !S1 && N2 <= N1 && b.is_negative()) not_comparable(N2, N1);
    if (a.is_negative() != b.is_negative()) return a.is_negative() ? -1 : 1;
    for (int i = larger(number<N1, S1>::words, number<N2, S2>::words) - 1; i >= 0; --i) {
        if (a.word(i) != b.word(i)) return a.word(i) < b.word(i) ? -1 : 1;
    }
    return 0;
}

// Operators of two numbers, and of a number with a C++ integer on either side.
#define SUBBYTE_AP_OPERATOR(OPERATOR, RESULT, EXPRESSION)                                                       \
    template <int N1, bool S1, int N2, bool S2>                                                                 \
    inline RESULT(N1, S1, N2, S2) operator OPERATOR(const number<N1, S1>& a, const number<N2, S2>& b) {         \
        typedef RESULT(N1, S1, N2, S2) type;                                                                    \
        return EXPRESSION;                                                                                      \
    }                                                                                                           \
    template <int N, bool S, class T>                                                                           \
    inline RESULT(N, S, native<T>::width, native<T>::is_signed) operator OPERATOR(const number<N, S>& a, T b) { \
        return a OPERATOR number<native<T>::width, native<T>::is_signed>(b);                                    \
    }                                                                                                           \
    template <int N, bool S, class T>                                                                           \
    inline RESULT(native<T>::width, native<T>::is_signed, N, S) operator OPERATOR(T a, const number<N, S>& b) { \
        return number<native<T>::width, native<T>::is_signed>(a) OPERATOR b;                                    \
    }
#define SUBBYTE_AP_SUM(N1, S1, N2, S2) typename result<N1, S1, N2, S2>::sum
#define SUBBYTE_AP_DIFFERENCE(N1, S1, N2, S2) typename result<N1, S1, N2, S2>::difference
#define SUBBYTE_AP_PRODUCT(N1, S1, N2, S2) typename result<N1, S1, N2, S2>::product
#define SUBBYTE_AP_BITWISE(N1, S1, N2, S2) typename result<N1, S1, N2, S2>::bitwise
#define SUBBYTE_AP_BOOL(N1, S1, N2, S2) typename std::enable_if<(N1 + N2 > 0), bool>::type
SUBBYTE_AP_OPERATOR(+, SUBBYTE_AP_SUM, type(type::added(type(a), type(b))))
SUBBYTE_AP_OPERATOR(-, SUBBYTE_AP_DIFFERENCE, type(type::subtracted(type(a), type(b))))
SUBBYTE_AP_OPERATOR(*, SUBBYTE_AP_PRODUCT, type(type::multiplied(type(a), type(b))))
SUBBYTE_AP_OPERATOR(&, SUBBYTE_AP_BITWISE, type(type::combined(type(a), type(b), '&')))
SUBBYTE_AP_OPERATOR(|, SUBBYTE_AP_BITWISE, type(type::combined(type(a), type(b), '|')))
SUBBYTE_AP_OPERATOR(^, SUBBYTE_AP_BITWISE, type(type::combined(type(a), type(b), '^')))
SUBBYTE_AP_OPERATOR(==, SUBBYTE_AP_BOOL, type(compared(a, b) == 0))
SUBBYTE_AP_OPERATOR(!=, SUBBYTE_AP_BOOL, type(compared(a, b) != 0))
SUBBYTE_AP_OPERATOR(<, SUBBYTE_AP_BOOL, type(compared(a, b) < 0))
SUBBYTE_AP_OPERATOR(<=, SUBBYTE_AP_BOOL, type(compared(a, b) <= 0))
SUBBYTE_AP_OPERATOR(>, SUBBYTE_AP_BOOL, type(compared(a, b) > 0))
SUBBYTE_AP_OPERATOR(>=, SUBBYTE_AP_BOOL, type(compared(a, b) >= 0))
#undef SUBBYTE_AP_OPERATOR
#undef SUBBYTE_AP_SUM
#undef SUBBYTE_AP_DIFFERENCE
#undef SUBBYTE_AP_PRODUCT
#undef SUBBYTE_AP_BITWISE
#undef SUBBYTE_AP_BOOL

}  // namespace subbyte_ap

// N bits, two's complement.
template <int N>
class ap_int : public subbyte_ap::number<N, true> {
  public:
    using subbyte_ap::number<N, true>::number;
    constexpr ap_int() : subbyte_ap::number<N, true>() {}
    constexpr ap_int(const subbyte_ap::number<N, true>& value) : subbyte_ap::number<N, true>(value) {}
};

// N bits, unsigned.
template <int N>
class ap_uint : public subbyte_ap::number<N, false> {
  public:
    using subbyte_ap::number<N, false>::number;
    constexpr ap_uint() : subbyte_ap::number<N, false>() {}
    constexpr ap_uint(const subbyte_ap::number<N, false>& value) : subbyte_ap::number<N, false>(value) {}
};

#endif  // SUBBYTE_CSIM_AP_INT_H_
