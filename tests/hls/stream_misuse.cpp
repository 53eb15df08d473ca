// Each argument misuses streams in a way of its own: what plain C simulation and its cycle mode say about it.
#include <cstdio>
#include <cstring>

#include "subbyte_hls.h"

typedef hls::stream<ap_uint<8> > Words;

#ifdef SUBBYTE_HLS_CYCLES
static void copy(Words& x, Words& y, int words, int at_once) {
    for (int i = 0; i < words; i += at_once) {
        SUBBYTE_CYCLE();
        for (int j = 0; j < at_once; ++j) y.write(x.read());
    }
}

static void copy_without_cycles(Words& x, Words& y) { y.write(x.read()); }

// Two words through `copy`, then finish().
static int copied(int at_once, bool with_cycles) {
    Words x("x"), y("y");
    x.write(1);
    x.write(2);
    SUBBYTE_DEPTH(y, 3);
    if (with_cycles) {
        SUBBYTE_PROCESS(copier, copy(x, y, 2, at_once));
    } else {
        SUBBYTE_PROCESS(copier, copy_without_cycles(x, y));
    }
    SUBBYTE_DATAFLOW_END();
    std::printf("%d\n", (y.read() + y.read()).to_int());
    return subbyte_cycles::finish();
}
#endif

int main(int, char** arguments) {
    const char* const how = arguments[1];
#ifdef SUBBYTE_HLS_CYCLES
    if (std::strcmp(how, "two words an iteration") == 0) return copied(2, true);
    if (std::strcmp(how, "no iteration") == 0) return copied(1, false);
    if (std::strcmp(how, "latency of nobody") == 0) {
        subbyte_cycles::set_latency("nobody", 3);
        return copied(1, true);
    }
    if (std::strcmp(how, "depths") == 0) {
        if (!subbyte_cycles::read_depths(arguments[2])) return 3;
        return copied(1, true);
    }
    if (std::strcmp(how, "twins") == 0) {
        Words x("x"), y("y");
        SUBBYTE_PROCESS(copier, copy(x, y, 1, 1));
        SUBBYTE_PROCESS(copier, copy(x, y, 1, 1));
    }
    if (std::strcmp(how, "no name") == 0) Words().write(1);
#else
    if (std::strcmp(how, "empty") == 0) {
        Words x("numbers");
        x << 1;
        ap_uint<8> word;
        x >> word;
        std::printf("%d\n", word.to_int());
        std::fflush(stdout);
        x.read();
    }
    if (std::strcmp(how, "unread") == 0) {
        {
            Words x("numbers");
            for (int i = 0; i < 3; ++i) x.write(i);
            x.read();
        }
        return int(hls::unread_words());
    }
#endif
    return 0;
}
