#include "subbyte/cpu_features.h"

#include <string.h>

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

/* Registers of one CPUID leaf, in the order of `enum reg`. */
enum reg { EAX, EBX, ECX, EDX };
enum leaf { LEAF_1, LEAF_7, LEAF_7_1, LEAF_EXTENDED, LEAVES };
/* What the operating system must save on a context switch before the feature is usable (XCR0). */
enum state { NO_STATE = 0, AVX_STATE = 0x06, AVX512_STATE = 0xe6 };

struct feature {
    const char* name;
    uint8_t leaf, reg, bit, state;
};

/* Source: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E. AMX is not here: Linux grants it by request. */
static const struct feature FEATURES[] = {
    {"sse3", LEAF_1, ECX, 0, NO_STATE},
    {"pclmul", LEAF_1, ECX, 1, NO_STATE},
    {"ssse3", LEAF_1, ECX, 9, NO_STATE},
    {"fma", LEAF_1, ECX, 12, AVX_STATE},
    {"cx16", LEAF_1, ECX, 13, NO_STATE},
    {"sse4.1", LEAF_1, ECX, 19, NO_STATE},
    {"sse4.2", LEAF_1, ECX, 20, NO_STATE},
    {"movbe", LEAF_1, ECX, 22, NO_STATE},
    {"popcnt", LEAF_1, ECX, 23, NO_STATE},
    {"aes", LEAF_1, ECX, 25, NO_STATE},
    {"xsave", LEAF_1, ECX, 26, NO_STATE},
    {"avx", LEAF_1, ECX, 28, AVX_STATE},
    {"f16c", LEAF_1, ECX, 29, AVX_STATE},
    {"sse", LEAF_1, EDX, 25, NO_STATE},
    {"sse2", LEAF_1, EDX, 26, NO_STATE},
    {"bmi", LEAF_7, EBX, 3, NO_STATE},
    {"avx2", LEAF_7, EBX, 5, AVX_STATE},
    {"bmi2", LEAF_7, EBX, 8, NO_STATE},
    {"avx512f", LEAF_7, EBX, 16, AVX512_STATE},
    {"avx512dq", LEAF_7, EBX, 17, AVX512_STATE},
    {"adx", LEAF_7, EBX, 19, NO_STATE},
    {"avx512ifma", LEAF_7, EBX, 21, AVX512_STATE},
    {"avx512cd", LEAF_7, EBX, 28, AVX512_STATE},
    {"sha", LEAF_7, EBX, 29, NO_STATE},
    {"avx512bw", LEAF_7, EBX, 30, AVX512_STATE},
    {"avx512vl", LEAF_7, EBX, 31, AVX512_STATE},
    {"avx512vbmi", LEAF_7, ECX, 1, AVX512_STATE},
    {"avx512vbmi2", LEAF_7, ECX, 6, AVX512_STATE},
    {"gfni", LEAF_7, ECX, 8, NO_STATE},
    {"vaes", LEAF_7, ECX, 9, AVX_STATE},
    {"vpclmulqdq", LEAF_7, ECX, 10, AVX_STATE},
    {"avx512vnni", LEAF_7, ECX, 11, AVX512_STATE},
    {"avx512bitalg", LEAF_7, ECX, 12, AVX512_STATE},
    {"avx512vpopcntdq", LEAF_7, ECX, 14, AVX512_STATE},
    {"avx512vp2intersect", LEAF_7, EDX, 8, AVX512_STATE},
    {"avx512fp16", LEAF_7, EDX, 23, AVX512_STATE},
    {"avxvnni", LEAF_7_1, EAX, 4, AVX_STATE},
    {"avx512bf16", LEAF_7_1, EAX, 5, AVX512_STATE},
    {"avxifma", LEAF_7_1, EAX, 23, AVX_STATE},
    {"avxvnniint8", LEAF_7_1, EDX, 4, AVX_STATE},
    {"avxneconvert", LEAF_7_1, EDX, 5, AVX_STATE},
    {"avxvnniint16", LEAF_7_1, EDX, 10, AVX_STATE},
    {"sahf", LEAF_EXTENDED, ECX, 0, NO_STATE},
    {"lzcnt", LEAF_EXTENDED, ECX, 5, NO_STATE},
};

static uint32_t saved_states(const uint32_t leaf_1[4]) {
    uint32_t low, high;
    if (!(leaf_1[ECX] & (1u << 27))) return 0; /* OSXSAVE: without it XGETBV faults */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

size_t subbyte_cpu_features(const char* names[SUBBYTE_MAX_FEATURES]) {
    uint32_t leaves[LEAVES][4] = {{0}};
    uint32_t states;
    size_t count = 0;
    __get_cpuid_count(1, 0, &leaves[LEAF_1][EAX], &leaves[LEAF_1][EBX], &leaves[LEAF_1][ECX], &leaves[LEAF_1][EDX]);
    if (__get_cpuid_count(7, 0, &leaves[LEAF_7][EAX], &leaves[LEAF_7][EBX], &leaves[LEAF_7][ECX],
                          &leaves[LEAF_7][EDX]) &&
        leaves[LEAF_7][EAX] >= 1) {
        __get_cpuid_count(7, 1, &leaves[LEAF_7_1][EAX], &leaves[LEAF_7_1][EBX], &leaves[LEAF_7_1][ECX],
                          &leaves[LEAF_7_1][EDX]);
    }
    __get_cpuid_count(0x80000001u, 0, &leaves[LEAF_EXTENDED][EAX], &leaves[LEAF_EXTENDED][EBX],
                      &leaves[LEAF_EXTENDED][ECX], &leaves[LEAF_EXTENDED][EDX]);
    states = saved_states(leaves[LEAF_1]);
    for (size_t i = 0; i < sizeof FEATURES / sizeof FEATURES[0]; ++i) {
        const struct feature* feature = &FEATURES[i];
        int present = (leaves[feature->leaf][feature->reg] >> feature->bit) & 1u;
        if (present && (states & feature->state) == feature->state) names[count++] = feature->name;
    }
    return count;
}

#elif defined(__linux__) && (defined(__aarch64__) || defined(__arm__) || defined(__riscv))

#include <sys/auxv.h>

struct feature {
    const char* name;
    uint8_t word, bit; /* word 0 is AT_HWCAP, 1 is AT_HWCAP2 */
};

/* Source: Linux, arch/{arm64,arm,riscv}/include/uapi/asm/hwcap.h. */
static const struct feature FEATURES[] = {
#if defined(__aarch64__)
    {"fp-armv8", 0, 0}, {"neon", 0, 1}, {"aes", 0, 3},   {"crc", 0, 7},      {"lse", 0, 8},
    {"fullfp16", 0, 9}, {"rdm", 0, 12}, {"sha3", 0, 17}, {"dotprod", 0, 20}, {"sve", 0, 22},
    {"fp16fml", 0, 23}, {"sve2", 1, 1}, {"i8mm", 1, 13}, {"bf16", 1, 14},
#elif defined(__arm__)
    {"vfp2", 0, 6},   {"neon", 0, 12},     {"vfp3", 0, 13},    {"vfp4", 0, 16}, {"hwdiv-arm", 0, 17},
    {"hwdiv", 0, 18}, {"fullfp16", 0, 22}, {"dotprod", 0, 24}, {"bf16", 0, 26}, {"i8mm", 0, 27},
#else
    {"a", 0, 'a' - 'a'}, {"c", 0, 'c' - 'a'}, {"d", 0, 'd' - 'a'},
    {"f", 0, 'f' - 'a'}, {"m", 0, 'm' - 'a'}, {"v", 0, 'v' - 'a'},
#endif
};

size_t subbyte_cpu_features(const char* names[SUBBYTE_MAX_FEATURES]) {
    const unsigned long words[2] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    size_t count = 0;
    for (size_t i = 0; i < sizeof FEATURES / sizeof FEATURES[0]; ++i) {
        if ((words[FEATURES[i].word] >> FEATURES[i].bit) & 1u) names[count++] = FEATURES[i].name;
    }
    return count;
}

#else

size_t subbyte_cpu_features(const char* names[SUBBYTE_MAX_FEATURES]) {
    (void)names;
    return 0;
}

#endif

static int has_feature(const char* const* names, size_t count, const char* name, size_t length) {
    for (size_t i = 0; i < count; ++i) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) return 1;
    }
    return 0;
}

/* Adds a name of `length` to the `used` characters of `text`, behind a space; leaves it out where it does not fit. */
static size_t add_name(char* text, size_t text_bytes, size_t used, const char* name, size_t length) {
    size_t separator = used > 0 ? 1 : 0;
    if (used + separator + length + 1 > text_bytes) return used;
    if (separator) text[used++] = ' ';
    memcpy(text + used, name, length);
    text[used + length] = '\0';
    return used + length;
}

void subbyte_cpu_feature_names(char* text, size_t text_bytes) {
    const char* names[SUBBYTE_MAX_FEATURES];
    size_t count = subbyte_cpu_features(names);
    size_t used = 0;
    if (text_bytes > 0) text[0] = '\0';
    for (size_t i = 0; i < count; ++i) used = add_name(text, text_bytes, used, names[i], strlen(names[i]));
}

int32_t subbyte_missing_features(const char* required, char* missing, size_t missing_bytes) {
    const char* names[SUBBYTE_MAX_FEATURES];
    size_t count = subbyte_cpu_features(names);
    size_t used = 0;
    int32_t lacking = 0;
    if (missing_bytes > 0) missing[0] = '\0';
    for (const char* at = required; *at != '\0';) {
        size_t length = strcspn(at, " ");
        if (length > 0 && !has_feature(names, count, at, length)) {
            ++lacking;
            used = add_name(missing, missing_bytes, used, at, length);
        }
        at += length;
        at += strspn(at, " ");
    }
    return lacking;
}
