// What the simulations that run a user's own samples do: words of a frame from files, and to files.
//
// A word of W bits has (W + 7) / 8 bytes, the lowest first; a file holds one frame after the other.
#ifndef SUBBYTE_RUNNER_H_
#define SUBBYTE_RUNNER_H_

#include <stdio.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "ap_int.h"

namespace subbyte_runner {

// A file that is open until the program ends; one that cannot be opened ends it with status 2.
class File {
  public:
    File(const std::string& path, const char* mode) : path_(path), file_(fopen(path.c_str(), mode)) {
        if (file_ == NULL) fail("cannot be opened");
    }

    template <int W>
    void read(ap_uint<W>* words, size_t count) {
        std::vector<unsigned char> bytes(count * ((W + 7) / 8));
        if (fread(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail("ends within a frame");
        const unsigned char* next = bytes.data();
        for (size_t i = 0; i < count; ++i) {
            words[i] = 0;
            for (int low = 0; low < W; low += 8) {
                words[i].range(low + 7 < W ? low + 7 : W - 1, low) = ap_uint<8>(static_cast<unsigned>(*next++));
            }
        }
    }

    template <int W>
    void write(const ap_uint<W>* words, size_t count) {
        std::vector<unsigned char> bytes;
        for (size_t i = 0; i < count; ++i) {
            for (int low = 0; low < W; low += 8) {
                const ap_uint<8> byte = words[i].range(low + 7 < W ? low + 7 : W - 1, low);
                bytes.push_back(static_cast<unsigned char>(byte.to_uint()));
            }
        }
        if (fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail("cannot be written");
    }

    void close() {
        if (fclose(file_) != 0) fail("cannot be written");
    }

  private:
    void fail(const char* what) const {
        fprintf(stderr, "%s: %s\n", path_.c_str(), what);
        exit(2);
    }

    std::string path_;
    FILE* file_;
};

}  // namespace subbyte_runner

#endif  // SUBBYTE_RUNNER_H_
