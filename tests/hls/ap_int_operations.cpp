// Prints what operations of ap_int and ap_uint give: a digest for each pair of types and each operation, over values
// that are extreme or random. The same text must come from every implementation (test_ap_int.py).
#include <cstdint>
#include <cstdio>

#include "ap_int.h"

static uint64_t state = 88172645463325252ULL;
static uint64_t random_word() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t digest;
static void add_word(uint64_t word) { digest = (digest ^ word) * 1099511628211ULL + (digest >> 29); }

// The value and the width of any result.
template <int N>
static void add_result(const ap_uint<N>& x) {
    add_word(N);
    for (int lo = 0; lo < N; lo += 32) {
        const ap_uint<32> part = x.range(lo + 31 < N ? lo + 31 : N - 1, lo);
        add_word(part.to_uint64());
    }
}
template <int N>
static void add_result(const ap_int<N>& x) {
    add_word(1000000 + (x < 0));
    add_result(ap_uint<N>(x));
}
static void add_result(bool x) { add_word(x); }

template <int N, template <int> class T>
static T<N> value(int i) {
    T<N> x = 0;
    if (i == 1) x = 1;
    if (i == 2) x = -1;
    if (i == 3) x[N - 1] = 1;
    if (i == 4) {
        x = -1;
        x[N - 1] = 0;
    }
    if (i > 4) {
        for (int lo = 0; lo < N; lo += 64) {
            const ap_uint<64> word = random_word();
            const int bits = N - lo < 64 ? N - lo : 64;
            x.range(lo + bits - 1, lo) = word.range(bits - 1, 0);
        }
        if (i % 3 == 0) x = x >> (i % N);
    }
    return x;
}

static char line[256];
static void print(const char* operation) {
    printf("%s %s %016llx\n", line, operation, static_cast<unsigned long long>(digest));
    digest = 14695981039346656037ULL;
}

// Whether every tool compares a and b by value.
template <int N1, int N2>
static bool comparable(const ap_int<N1>& a, const ap_uint<N2>&) {
    return N1 > N2 || a >= 0;
}
template <int N1, int N2>
static bool comparable(const ap_uint<N1>& a, const ap_int<N2>& b) {
    return comparable(b, a);
}
template <class A, class B>
static bool comparable(const A&, const B&) {
    return true;
}

#define EACH_PAIR(OPERATION, EXPRESSION) \
    for (int i = 0; i < COUNT; ++i) {    \
        const A& a = as[i];              \
        const B& b = bs[(i * 7) % 24];   \
        (void)b;                         \
        add_result(EXPRESSION);          \
    }                                    \
    print(OPERATION)

template <int N1, template <int> class T1, int N2, template <int> class T2>
static void operations(const char* name) {
    typedef T1<N1> A;
    typedef T2<N2> B;
    const int COUNT = 48;
    static A as[COUNT];
    static B bs[24];
    for (int i = 0; i < COUNT; ++i) as[i] = value<N1, T1>(i % 24);
    for (int i = 0; i < 24; ++i) bs[i] = value<N2, T2>(i);
    snprintf(line, sizeof line, "%s %d %d", name, N1, N2);
    EACH_PAIR("+", a + b);
    EACH_PAIR("-", a - b);
    EACH_PAIR("*", a * b);
    EACH_PAIR("&", a & b);
    EACH_PAIR("|", a | b);
    EACH_PAIR("^", a ^ b);
    EACH_PAIR("~", ~a);
    EACH_PAIR("negative", -a);
    EACH_PAIR("==", comparable(a, b) && a == b);
    EACH_PAIR("<", comparable(a, b) && a < b);
    EACH_PAIR("<=", comparable(a, b) && a <= b);
    EACH_PAIR(">", comparable(a, b) && a > b);
    EACH_PAIR(">=", comparable(a, b) && a >= b);
    EACH_PAIR("!=", comparable(a, b) && a != b);
    EACH_PAIR("convert", B(a));
    EACH_PAIR("native", a + i - 7LL * b);
    EACH_PAIR("native comparison", (a > i) == (b <= 2));
    for (int i = 0; i < COUNT; ++i) {
        const A a = as[i];
        for (int count = 0; count < N1 + 2; count += 1 + N1 / 9) {
            add_result(A(a << count));
            add_result(A(a >> count));
        }
        A c = a;
        c += bs[i % 24];
        add_result(c);
        c -= a * 3;
        add_result(c);
        add_word(a.to_int64());
        add_word(a.to_uint64());
        add_word(a.to_int());
        add_word(a.to_uint());
    }
    print("shifts, assignment");
    for (int i = 0; i < COUNT; ++i) {
        A a = as[i];
        for (int lo = 0; lo < N1; lo += 1 + N1 / 7) {
            for (int hi = lo; hi < N1; hi += 1 + N1 / 5) {
                const B part = a.range(hi, lo);
                add_result(part);
                add_word(a.range(hi, lo).to_uint64());
                add_word(a(hi, lo).to_int());
                A c = a;
                c.range(hi, lo) = bs[i % 24];
                add_result(c);
                c(hi, lo) = i * 77;
                c[lo] = a[hi];
                add_result(c);
                c.range(hi, lo) = a.range(hi - lo, 0);
                add_result(c);
                add_word(c[hi] == 1);
                add_result(ap_uint<1>(a[lo]));
            }
        }
    }
    print("ranges, bits");
}

template <int N1, int N2>
static void signs() {
    operations<N1, ap_int, N2, ap_int>("int int");
    operations<N1, ap_int, N2, ap_uint>("int uint");
    operations<N1, ap_uint, N2, ap_int>("uint int");
    operations<N1, ap_uint, N2, ap_uint>("uint uint");
}

static void strings() {
    line[0] = 's';
    line[1] = '\0';
    add_result(ap_uint<8>("0xa5", 16));
    add_result(ap_uint<65>("0x1ffffffffFFFFFFFF", 16));
    add_result(ap_uint<130>("0x2deadbeefcafebabe0123456789abcdef", 16));
    add_result(ap_int<7>("0x-3", 16) * 0);
    add_result(ap_uint<200>("1f", 16));
    add_result(ap_int<90>("0x3ffffffffffffffffffffff", 16));
    print("hex");
}

int main() {
    digest = 14695981039346656037ULL;
    signs<1, 31>();
    signs<63, 65>();
    signs<300, 64>();
    strings();
    return 0;
}
