// hls::stream for tests of single actors: remembers in which iteration of the process' loop each word moved.
#ifndef TESTS_HLS_STREAM_H
#define TESTS_HLS_STREAM_H

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

#include "subbyte_cycles.h"

namespace hls {

template <class T>
class stream {
  public:
    std::vector<long long> reads, writes;  // of this frame

    T read() {
        if (words_.empty()) {
            std::puts("a process reads more words than there are");
            std::exit(1);
        }
        reads.push_back(subbyte_cycles::iteration());
        const T word = words_.front();
        words_.pop_front();
        return word;
    }
    void write(const T& word) {
        writes.push_back(subbyte_cycles::iteration());
        words_.push_back(word);
    }

    // For the program around the process.
    std::deque<T>& words() { return words_; }

  private:
    std::deque<T> words_;
};

}  // namespace hls

#endif  // TESTS_HLS_STREAM_H
