// Shows the testbench the words in a stream between two processes, and leaves them there.
//
// In C simulation a process has written a whole frame before the next one starts, so a probe between the two may take
// all words out, look at them and put them back; any hls::stream will do. The top function has a probe behind each
// process where it is compiled with -DSUBBYTE_PROBES, and none in synthesis.
#ifndef SUBBYTE_PROBE_H_
#define SUBBYTE_PROBE_H_

#include <stddef.h>

#include <vector>

#include "ap_int.h"

namespace subbyte_probe {

// The testbench's: `count` words of (W + 7) / 8 bytes each, the lowest first.
void look(const char* stream, const std::vector<unsigned char>& bytes, size_t count);

template <int W>
void append(std::vector<unsigned char>& bytes, const ap_uint<W>& word) {
    for (int low = 0; low < W; low += 8) {
        const ap_uint<8> byte = word.range(low + 7 < W ? low + 7 : W - 1, low);
        bytes.push_back(static_cast<unsigned char>(byte.to_uint()));
    }
}

template <int W, class Stream>
void probe(Stream& stream, const char* name) {
    std::vector<ap_uint<W> > words;
    std::vector<unsigned char> bytes;
    while (!stream.empty()) words.push_back(stream.read());
    bytes.reserve(words.size() * ((W + 7) / 8));
    for (size_t i = 0; i < words.size(); ++i) {
        append(bytes, words[i]);
        stream.write(words[i]);
    }
    look(name, bytes, words.size());
}

}  // namespace subbyte_probe

#endif  // SUBBYTE_PROBE_H_
