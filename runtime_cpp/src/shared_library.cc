#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#if defined(__linux__)
#include <elf.h>
#include <link.h>
#endif

#include "subbyte/runtime.h"

namespace subbyte {
namespace {

constexpr char kEntry[] = "subbyte_model_get";

#if defined(__linux__)

std::string machine_name(unsigned machine) {
    switch (machine) {
        case EM_386:
            return "32-bit x86";
        case EM_X86_64:
            return "x86-64";
        case EM_ARM:
            return "32-bit Arm";
        case EM_AARCH64:
            return "64-bit Arm";
        case EM_RISCV:
            return "RISC-V";
        default:
            return "processor kind " + std::to_string(machine);
    }
}

// The machine that this file was compiled for, as ELF numbers it, from the program that runs.
unsigned own_machine() {
#if defined(__x86_64__)
    return EM_X86_64;
#elif defined(__i386__)
    return EM_386;
#elif defined(__aarch64__)
    return EM_AARCH64;
#elif defined(__arm__)
    return EM_ARM;
#elif defined(__riscv)
    return EM_RISCV;
#else
    return EM_NONE;
#endif
}

// The loader maps what the program headers promise and the process dies where the file is shorter; so this is
// checked first. Throws ToolchainError.
void check_elf(int file, const std::string& path) {
    struct stat status{};
    ElfW(Ehdr) header{};
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) throw ToolchainError("'" + path + "' is not a file.");
    ssize_t found = pread(file, &header, sizeof header, 0);
    if (found < static_cast<ssize_t>(EI_NIDENT) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        throw ToolchainError("'" + path + "' is not a shared library. Build it again from the bundle's model.c.");
    }
    constexpr unsigned char own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (found == sizeof header && (header.e_machine != own_machine() || header.e_ident[EI_CLASS] != own_class)) {
        throw ToolchainError("'" + path + "' is for " + machine_name(header.e_machine) + ", this program for " +
                             machine_name(own_machine()) +
                             ". Run it on such a machine, or compile the model for this one.");
    }
    auto file_bytes = static_cast<std::uint64_t>(status.st_size);
    bool whole = found == sizeof header && header.e_phentsize == sizeof(ElfW(Phdr));
    for (unsigned i = 0; whole && i < header.e_phnum; ++i) {
        ElfW(Phdr) segment{};
        auto offset = static_cast<off_t>(header.e_phoff + i * sizeof segment);
        whole = pread(file, &segment, sizeof segment, offset) == static_cast<ssize_t>(sizeof segment) &&
                segment.p_offset <= file_bytes && segment.p_filesz <= file_bytes - segment.p_offset;
    }
    if (!whole) {
        throw ToolchainError("'" + path + "' is cut short or damaged. Build it again from the bundle's model.c.");
    }
}

// The loader knows libraries by their names and would return an older one of the same name; this name belongs to
// the open file alone, and a debugger can follow it.
std::string loader_name(int file, const std::string& path) {
    std::string name = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file);
    return access(name.c_str(), R_OK) == 0 ? name : path;
}

#else

void check_elf(int, const std::string&) {}

std::string loader_name(int, const std::string& path) { return path; }

#endif

}  // namespace

SharedLibrary::SharedLibrary(const std::string& path) {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0) throw ToolchainError("'" + path + "' cannot be opened: " + std::strerror(errno) + ".");
    try {
        check_elf(file_, path);
        handle_ = dlopen(loader_name(file_, path).c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ == nullptr) {
            const char* reason = dlerror();
            throw ToolchainError("'" + path + "' does not load: " + (reason != nullptr ? reason : "no reason given") +
                                 ".");
        }
        auto get = reinterpret_cast<const subbyte_model* (*)()>(dlsym(handle_, kEntry));
        if (get == nullptr) {
            throw ToolchainError("'" + path + "' is a shared library, but not a compiled model: it has no " + kEntry +
                                 ".");
        }
        model_ = get();
    } catch (...) {
        if (handle_ != nullptr) dlclose(handle_);
        close(file_);
        throw;
    }
}

SharedLibrary::~SharedLibrary() {
    dlclose(handle_);
    close(file_);
}

}  // namespace subbyte
