// Numbers in, bits out: what the programs of tests of functors read and print.
#ifndef NUMBERS_PROGRAM_H_
#define NUMBERS_PROGRAM_H_

#include <cstdio>
#include <cstdlib>

// The next number of the input; the program ends where there is none.
inline long long next() {
    long long value = 0;
    if (std::scanf("%lld", &value) != 1) std::exit(2);
    return value;
}

template <typename Bits>
void show(const Bits& bits) {
    std::printf("%llu\n", static_cast<unsigned long long>(bits.to_uint64()));
}

#endif  // NUMBERS_PROGRAM_H_
