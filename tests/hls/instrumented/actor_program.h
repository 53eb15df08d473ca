// What a program that runs actors one by one needs: words from stdin, words and the iterations that moved them to stdout.
#ifndef TESTS_HLS_ACTOR_PROGRAM_H
#define TESTS_HLS_ACTOR_PROGRAM_H

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include "ap_int.h"
#include "hls_stream.h"

// The next word of stdin, in hexadecimal.
template <int W>
void load(hls::stream<ap_uint<W> >& stream) {
    std::string text;
    std::cin >> text;
    stream.words().push_back(ap_uint<W>(text.c_str(), 16));
}

inline void print(const char* what, const std::vector<long long>& iterations) {
    std::printf("%s", what);
    for (long long at : iterations) std::printf(" %lld", at);
    std::printf("\n");
}

// All words of a stream in hexadecimal; the stream is empty then.
template <int W>
void print_words(hls::stream<ap_uint<W> >& stream) {
    std::printf("words");
    for (const ap_uint<W>& word : stream.words()) {
        std::printf(" ");
        for (int low = (W - 1) / 64 * 64; low >= 0; low -= 64) {
            const ap_uint<64> limb = word.range(low + 63 < W ? low + 63 : W - 1, low);
            std::printf("%016llx", static_cast<unsigned long long>(limb.to_uint64()));
        }
    }
    std::printf("\n");
    stream.words().clear();
}

template <class Stream>
void print_reads(Stream& stream) {
    print("reads", stream.reads);
    stream.reads.clear();
    stream.writes.clear();
    if (!stream.words().empty()) std::printf("unread\n");
}

template <class Stream>
void print_writes(Stream& stream) {
    print("writes", stream.writes);
    print_words(stream);
    stream.writes.clear();
}

#endif  // TESTS_HLS_ACTOR_PROGRAM_H
