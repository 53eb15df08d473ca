// hls::stream for C simulation: a FIFO without bounds, whose misuse is an error instead of a warning.
//
//   read() of an empty stream     ends the program with status 1 and the stream's name: the processes do not fit together
//   words that nobody reads       are told when the stream goes, and counted by hls::unread_words(), which the testbench
//                                 asks before it says that all is well
//
// With -DSUBBYTE_HLS_CYCLES streams hold no more than their depth and words have times: subbyte_cycles.h.
// read_nb and write_nb do not exist: what a design computes must not depend on when its words come. C++14.
#ifndef SUBBYTE_HLS_STREAM_H_
#define SUBBYTE_HLS_STREAM_H_

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>

#ifdef SUBBYTE_HLS_CYCLES
#include "subbyte_cycles.h"
#endif

namespace hls {

// Words left in streams that are gone.
inline unsigned long long& unread_words() {
    static unsigned long long words = 0;
    return words;
}

template <class T>
class stream {
  public:
    stream() : stream("") {}
    explicit stream(const char* name) : name_(name) {}
    explicit stream(const std::string& name) : name_(name) {}
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    ~stream() {
        if (words_.empty()) return;
        unread_words() += words_.size();
        std::fprintf(stderr, "stream '%s': %zu of %llu words were never read\n", name(), words_.size(), written_);
    }

    const char* name() const { return name_.c_str(); }
    bool empty() const { return words_.empty(); }
    std::size_t size() const { return words_.size(); }

    void write(const T& word) {
#ifdef SUBBYTE_HLS_CYCLES
        subbyte_cycles::before_write(channel());
#endif
        words_.push_back(word);
        ++written_;
    }

    T read() {
#ifdef SUBBYTE_HLS_CYCLES
        subbyte_cycles::before_read(channel());
#endif
        if (words_.empty()) {
            std::fprintf(stderr,
                         "stream '%s': its word %llu is read, but %llu were written; the process that writes it must "
                         "run before the one that reads it, and both must agree on the words of a frame\n",
                         name(), written_, written_);
            std::exit(1);
        }
        const T word = words_.front();
        words_.pop_front();
        return word;
    }

    void read(T& word) { word = read(); }
    void operator>>(T& word) { read(word); }
    void operator<<(const T& word) { write(word); }

#ifdef SUBBYTE_HLS_CYCLES
    // The times of the words; streams of one name, made anew for each frame, share it.
    subbyte_cycles::Channel* channel() {
        if (channel_ == nullptr) channel_ = subbyte_cycles::channel_of(name_);
        return channel_;
    }
#endif

  private:
    std::string name_;
    std::deque<T> words_;
    unsigned long long written_ = 0;
#ifdef SUBBYTE_HLS_CYCLES
    subbyte_cycles::Channel* channel_ = nullptr;
#endif
};

}  // namespace hls

#endif  // SUBBYTE_HLS_STREAM_H_
