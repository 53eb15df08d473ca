#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "subbyte/runtime.h"

namespace subbyte {
namespace {

constexpr std::size_t kWeightsAlign = 64;

struct CloseFile {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

void FreeMemory::operator()(unsigned char* memory) const noexcept { std::free(memory); }

Memory allocate(std::size_t bytes, std::size_t align) {
    void* memory = nullptr;
    if (posix_memalign(&memory, align, bytes > 0 ? bytes : align) != 0) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    return Memory(static_cast<unsigned char*>(memory));
}

// Read, not mapped: a mapped file that shrinks later would end the process.
Memory read_weights(const std::string& path, std::size_t bytes) {
    std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
    if (!file) throw ModelError("The weights '" + path + "' cannot be opened: " + std::strerror(errno) + ".");
    Memory weights = allocate(bytes, kWeightsAlign);
    std::size_t found = std::fread(weights.get(), 1, bytes, file.get());
    if (found != bytes || std::fgetc(file.get()) != EOF) {
        throw ModelError("The weights '" + path + "' have " +
                         (found < bytes ? "only " + std::to_string(found) : "more than " + std::to_string(bytes)) +
                         " bytes; the model has " + std::to_string(bytes) + ". Compile the model again.");
    }
    return weights;
}

}  // namespace subbyte
