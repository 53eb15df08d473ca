// A coroutine on a stack of its own: a function that can stop in its middle and go on there. POSIX (ucontext.h).
//
// resume() runs the body until it calls suspend() or ends. AddressSanitizer is told of every change of stack;
// ThreadSanitizer is not, and -fsanitize=thread is refused. A guard page ends a stack that overflows.
#ifndef SUBBYTE_COROUTINE_H_
#define SUBBYTE_COROUTINE_H_

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUBBYTE_ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#error \
    "the cycle mode changes stacks, which ThreadSanitizer does not follow; it has one thread: leave the sanitizer out"
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SUBBYTE_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#error \
    "the cycle mode changes stacks, which ThreadSanitizer does not follow; it has one thread: leave the sanitizer out"
#endif
#ifdef SUBBYTE_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

namespace subbyte_cycles {

class Coroutine {
  public:
    Coroutine() = default;
    Coroutine(const Coroutine&) = delete;
    Coroutine& operator=(const Coroutine&) = delete;
    ~Coroutine() {
        if (stack_ != nullptr) munmap(stack_, STACK);
    }

    // The next resume() starts `body`. Not while another body is under way.
    void start(std::function<void()> body) {
        body_ = std::move(body);
        done_ = false;
        if (stack_ == nullptr) make_stack();
    }

    bool done() const { return done_; }

    void resume() {
        enter(inside_, outside_, stack_, STACK, &outside_shadow_);
        left(outside_shadow_, nullptr, nullptr);
    }

    // From within the body alone.
    void suspend() {
        enter(outside_, inside_, outside_stack_, outside_size_, &inside_shadow_);
        left(inside_shadow_, &outside_stack_, &outside_size_);
    }

  private:
    // Address space; memory is taken as the stack grows into it.
    static const std::size_t STACK = std::size_t(16) << 20;

    static Coroutine*& starting() {
        static Coroutine* coroutine = nullptr;
        return coroutine;
    }

    static void run() {
        Coroutine* const self = starting();
        self->left(nullptr, &self->outside_stack_, &self->outside_size_);
        for (;;) {
            self->body_();
            self->done_ = true;
            self->suspend();
        }
    }

    void make_stack() {
        stack_ = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack_ == MAP_FAILED || getcontext(&inside_) != 0 ||
            mprotect(stack_, std::size_t(sysconf(_SC_PAGESIZE)), PROT_NONE) != 0) {
            std::fprintf(stderr, "no memory for the stack of a process: the cycle mode wants %zu bytes each\n", STACK);
            std::exit(1);
        }
        inside_.uc_stack.ss_sp = stack_;
        inside_.uc_stack.ss_size = STACK;
        inside_.uc_link = nullptr;
        makecontext(&inside_, run, 0);
    }

    void enter(ucontext_t& to, ucontext_t& from, const void* stack, std::size_t size, void** shadow) {
        starting() = this;
#ifdef SUBBYTE_ADDRESS_SANITIZER
        __sanitizer_start_switch_fiber(shadow, stack, size);
#else
        (void)stack, (void)size, (void)shadow;
#endif
        swapcontext(&from, &to);
    }

    void left(void* shadow, const void** stack, std::size_t* size) {
#ifdef SUBBYTE_ADDRESS_SANITIZER
        __sanitizer_finish_switch_fiber(shadow, stack, size);
#else
        (void)shadow, (void)stack, (void)size;
#endif
    }

    std::function<void()> body_;
    bool done_ = true;
    void* stack_ = nullptr;
    ucontext_t inside_;
    ucontext_t outside_;
    // Of AddressSanitizer: the stack that resume() came from, and what it keeps of each stack.
    const void* outside_stack_ = nullptr;
    std::size_t outside_size_ = 0;
    void* inside_shadow_ = nullptr;
    void* outside_shadow_ = nullptr;
};

}  // namespace subbyte_cycles

#endif  // SUBBYTE_COROUTINE_H_
