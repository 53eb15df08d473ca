// CHECK(condition): on failure says where and ends the test program with 1, also where NDEBUG is defined.
#ifndef SUBBYTE_TESTS_CHECK_H
#define SUBBYTE_TESTS_CHECK_H

#include <cstdio>
#include <cstdlib>
#include <string>

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                                \
        }                                                                                \
    } while (false)

// Runs `action`, which must throw an Error whose text holds `part`.
template <typename Error, typename Action>
void check_throws(Action action, const std::string& part) {
    std::string text = "nothing was thrown";
    try {
        action();
    } catch (const Error& error) {
        text = error.what();
        if (text.find(part) != std::string::npos) return;
    }
    std::fprintf(stderr, "expected an error with \"%s\", found: %s\n", part.c_str(), text.c_str());
    std::exit(1);
}

#endif
