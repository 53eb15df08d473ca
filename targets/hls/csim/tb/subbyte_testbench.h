// What the testbenches of all projects do: read golden vectors, compare the words of streams with them, keep count.
//
// The first word that differs is printed with its layer, stream, sample, index, what came and what was wanted, and ends
// the program with status 1.
#ifndef SUBBYTE_TESTBENCH_H_
#define SUBBYTE_TESTBENCH_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "ap_int.h"
#include "subbyte_probe.h"

namespace subbyte_testbench {

// A stream of the design. samples: how many its file has, at least 1; words: of a frame; sign: as in subbyte_hls.h;
// channels_first: its words come for each word of channels all runs, and not for each run all its words.
struct Stream {
    const char* name;
    const char* layer;  // which writes it, and the ONNX nodes that this one computes
    const char* file;
    size_t samples;
    size_t words;
    int lanes;
    int bits;
    int sign;
    size_t runs;
    size_t channels;
    bool channels_first;

    size_t word_bytes() const { return (static_cast<size_t>(lanes) * bits + 7) / 8; }
};

class Bench {
  public:
    Bench(const Stream* streams, size_t count, size_t samples)
        : streams_(streams), golden_(count), probed_(count), given_(count), samples_(samples), sample_(0) {}

    // Reads the golden vectors of all streams from `folder`.
    void load(const std::string& folder) {
        for (size_t i = 0; i < golden_.size(); ++i) {
            const std::string path = folder + "/" + streams_[i].file;
            const size_t size = streams_[i].samples * streams_[i].words * streams_[i].word_bytes();
            golden_[i].resize(size + 1);
            FILE* file = fopen(path.c_str(), "rb");
            const size_t found = file == NULL ? 0 : fread(golden_[i].data(), 1, size + 1, file);
            if (file != NULL) fclose(file);
            if (found != size) {
                fprintf(stderr,
                        "%s: %zu bytes are needed and %s%zu were found; give the folder of the golden vectors\n",
                        path.c_str(), size, found > size ? "more than " : "", found > size ? size : found);
                exit(2);
            }
        }
    }

    size_t samples() const { return samples_; }
    void start(size_t sample) { sample_ = sample; }

    // The words of stream `number` for this sample.
    template <int W>
    void take(size_t number, ap_uint<W>* words) const {
        const unsigned char* bytes = golden_of(number);
        for (size_t i = 0; i < streams_[number].words; ++i) {
            words[i] = 0;
            for (int low = 0; low < W; low += 8) {
                words[i].range(low + 7 < W ? low + 7 : W - 1, low) = ap_uint<8>(static_cast<unsigned>(*bytes++));
            }
        }
    }

    // Compares the words that came out of stream `number` for this sample.
    template <int W>
    void give(size_t number, const ap_uint<W>* words) {
        std::vector<unsigned char> bytes;
        for (size_t i = 0; i < streams_[number].words; ++i) subbyte_probe::append(bytes, words[i]);
        compare(number, bytes, streams_[number].words);
        ++given_[number];
    }

    // The same for the words in a stream between two processes.
    void look(const char* name, const std::vector<unsigned char>& bytes, size_t count) {
        for (size_t i = 0; i < golden_.size(); ++i) {
            if (strcmp(streams_[i].name, name) != 0) continue;
            if (sample_ < streams_[i].samples) {
                compare(i, bytes, count);
                ++probed_[i];
            }
            return;
        }
        fprintf(stderr, "stream '%s' is probed and not known to the testbench\n", name);
        exit(2);
    }

    // Says how much was equal; the status of the program.
    int finish() const {
        size_t total = 0;
        for (size_t i = 0; i < golden_.size(); ++i) {
            total += say("stream", streams_[i], probed_[i]) + say("output", streams_[i], given_[i]);
        }
#ifdef SUBBYTE_HLS_STREAM_H_  // of csim/include; a stream of HLS tools warns when it goes
        if (hls::unread_words() != 0) {
            printf("failed: %llu words are left in streams\n", hls::unread_words());
            return 1;
        }
#endif
        printf("passed: %zu samples, %zu words equal\n", sample_ + 1, total);
        return 0;
    }

  private:
    const unsigned char* golden_of(size_t number) const {
        return golden_[number].data() + sample_ * streams_[number].words * streams_[number].word_bytes();
    }

    void compare(size_t number, const std::vector<unsigned char>& bytes, size_t count) {
        const Stream& stream = streams_[number];
        const unsigned char* golden = golden_of(number);
        const size_t size = stream.word_bytes();
        for (size_t word = 0; word < count && word < stream.words; ++word) {
            if (memcmp(&bytes[word * size], golden + word * size, size) != 0) {
                differs(stream, word, &bytes[word * size], golden + word * size);
            }
        }
        if (count != stream.words) {
            printf("mismatch: layer %s, stream %s, sample %zu: got %zu words, want %zu\n", stream.layer, stream.name,
                   sample_, count, stream.words);
            exit(1);
        }
    }

    static size_t say(const char* kind, const Stream& stream, size_t samples) {
        const size_t words = samples * stream.words;
        if (samples > 0) printf("equal: %s %s, %zu samples, %zu words\n", kind, stream.name, samples, words);
        return words;
    }

    // Prints the first lane of a word that differs and ends the program.
    void differs(const Stream& stream, size_t word, const unsigned char* got, const unsigned char* want) const {
        int lane = 0;
        while (lane < stream.lanes - 1 && code(stream, got, lane) == code(stream, want, lane)) ++lane;
        const size_t per_run = (stream.channels + stream.lanes - 1) / stream.lanes;
        const size_t per_pixel = stream.runs * per_run, in_pixel = word % per_pixel;
        const size_t pixel = word / per_pixel;
        const size_t run = stream.channels_first ? in_pixel % stream.runs : in_pixel / per_run;
        const size_t word_of_run = stream.channels_first ? in_pixel / stream.runs : in_pixel % per_run;
        const size_t channel = word_of_run * stream.lanes + lane;
        printf("mismatch: layer %s, stream %s, sample %zu, ", stream.layer, stream.name, sample_);
        if (channel < stream.channels) {
            printf("index %zu, ", (pixel * stream.runs + run) * stream.channels + channel);
        } else {
            printf("a lane that holds no code, ");
        }
        printf("got %lld, want %lld (pixel %zu, run %zu, channel %zu; word %zu, lane %d)\n", code(stream, got, lane),
               code(stream, want, lane), pixel, run, channel, word, lane);
        exit(1);
    }

    // The code in a lane of a word of bytes; the bits of bipolar lanes that hold no code are told as codes too.
    static long long code(const Stream& stream, const unsigned char* word, int lane) {
        unsigned long long bits = 0;
        for (int i = stream.bits - 1; i >= 0; --i) {
            const size_t at = static_cast<size_t>(lane) * stream.bits + i;
            bits = (bits << 1) | ((word[at / 8] >> (at % 8)) & 1);
        }
        if (stream.sign == 2) return bits != 0 ? 1 : -1;
        if (stream.sign == 1 && stream.bits < 64 && ((bits >> (stream.bits - 1)) & 1) != 0) {
            bits |= ~0ULL << stream.bits;
        }
        return static_cast<long long>(bits);
    }

    const Stream* streams_;
    std::vector<std::vector<unsigned char> > golden_;
    std::vector<size_t> probed_;  // samples of each stream that were found equal inside the design
    std::vector<size_t> given_;   // and as its outputs
    size_t samples_;
    size_t sample_;
};

}  // namespace subbyte_testbench

#endif  // SUBBYTE_TESTBENCH_H_
