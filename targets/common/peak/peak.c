/* What one core does at most, to compare kernels with: multiply-accumulates of bytes by the best instruction that this
 * file is compiled for, and reading memory. Prints JSON:
 *
 *   peak BYTES...  ->  {"instruction": "vpdpbusd zmm", "gmac_per_s": 359.1, "reads": [{"bytes": 16384, "gb_per_s": 240.2}]}
 *
 * A figure is the best of several runs: other work on the machine makes a run slower, nothing makes it faster. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime, posix_memalign */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

enum { RUNS = 40, STEPS = 20000 }; /* a run takes some tens of microseconds */

#if defined(__AVX512VNNI__)
typedef __m512i vector;
#define INSTRUCTION "vpdpbusd zmm"
#define PRODUCTS 64
#define ZERO() _mm512_setzero_si512()
#define ADD_PRODUCTS(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#elif defined(__AVX512BW__)
typedef __m512i vector;
#define INSTRUCTION "vpmaddubsw, vpmaddwd, vpaddd zmm"
#define PRODUCTS 64
#define ZERO() _mm512_setzero_si512()
#define ADD_PRODUCTS(sum, a, b) \
    _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)))
#elif defined(__AVXVNNI__)
typedef __m256i vector;
#define INSTRUCTION "vpdpbusd ymm"
#define PRODUCTS 32
#define ZERO() _mm256_setzero_si256()
#define ADD_PRODUCTS(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#elif defined(__AVX2__)
typedef __m256i vector;
#define INSTRUCTION "vpmaddubsw, vpmaddwd, vpaddd ymm"
#define PRODUCTS 32
#define ZERO() _mm256_setzero_si256()
#define ADD_PRODUCTS(sum, a, b) \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#elif defined(__ARM_FEATURE_MATMUL_INT8)
typedef int32x4_t vector;
#define INSTRUCTION "smmla"
#define PRODUCTS 32
#define ZERO() vdupq_n_s32(0)
#define ADD_PRODUCTS(sum, a, b) vmmlaq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t vector;
#define INSTRUCTION "sdot"
#define PRODUCTS 16
#define ZERO() vdupq_n_s32(0)
#define ADD_PRODUCTS(sum, a, b) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#elif defined(__ARM_NEON)
typedef int32x4_t vector;
#define INSTRUCTION "smull, smlal, sadalp"
#define PRODUCTS 16
#define ZERO() vdupq_n_s32(0)
#define LOW(v) vget_low_s8(vreinterpretq_s8_s32(v))
#define HIGH(v) vget_high_s8(vreinterpretq_s8_s32(v))
#define ADD_PRODUCTS(sum, a, b) vpadalq_s16(sum, vmlal_s8(vmull_s8(LOW(a), LOW(b)), HIGH(a), HIGH(b)))
#endif

/* The compiler must take `value` for changed: what hangs on it is computed each time. */
#if defined(__AVX512BW__)
#define CHANGED(value) __asm__ volatile("" : "+v"(value))
#elif defined(__AVX2__)
#define CHANGED(value) __asm__ volatile("" : "+x"(value))
#elif defined(__ARM_NEON)
#define CHANGED(value) __asm__ volatile("" : "+w"(value))
#endif

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#ifdef INSTRUCTION

#define CHAIN(sum)                     \
    do {                               \
        CHANGED(a);                    \
        sum = ADD_PRODUCTS(sum, a, b); \
        CHANGED(sum);                  \
    } while (0)

/* Multiply-accumulates of one run: ten chains, so that no instruction waits for the one before it, each in a register. */
static double multiply(void) {
    vector a = ZERO(), b = ZERO();
    vector s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a;
    int step;
    CHANGED(b);
    for (step = 0; step < STEPS; ++step) {
        CHAIN(s0);
        CHAIN(s1);
        CHAIN(s2);
        CHAIN(s3);
        CHAIN(s4);
        CHAIN(s5);
        CHAIN(s6);
        CHAIN(s7);
        CHAIN(s8);
        CHAIN(s9);
    }
    return 10.0 * PRODUCTS * STEPS;
}

#else
#define INSTRUCTION "C, of 16-bit factors"

/* A dot product as the compiler makes it, of factors in the first cache level. */
static double multiply(void) {
    enum { LENGTH = 4096, TIMES = 100 };
    static int16_t a[LENGTH], b[LENGTH];
    int i, time;
    for (time = 0; time < TIMES; ++time) {
        int32_t sum = 0;
        __asm__ volatile("" : : "r"(a), "r"(b) : "memory"); /* they may hold anything now */
        for (i = 0; i < LENGTH; ++i) sum += a[i] * b[i];
        __asm__ volatile("" : : "r"(sum));
    }
    return (double)LENGTH * TIMES;
}

#endif

/* Reads `bytes` once. */
static void read_all(const unsigned char* from, size_t bytes) {
    const unsigned char* end = from + bytes / 512 * 512;
#if defined(__AVX512BW__)
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
#define READ(sum, at) sum = _mm512_or_si512(sum, _mm512_loadu_si512((const void*)(from + (at))))
    for (; from < end; from += 512) {
        READ(s0, 0);
        READ(s1, 64);
        READ(s2, 128);
        READ(s3, 192);
        READ(s0, 256);
        READ(s1, 320);
        READ(s2, 384);
        READ(s3, 448);
    }
    CHANGED(s0);
    CHANGED(s1);
    CHANGED(s2);
    CHANGED(s3);
#elif defined(__AVX2__)
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
#define READ(sum, at) sum = _mm256_or_si256(sum, _mm256_loadu_si256((const __m256i*)(const void*)(from + (at))))
    for (; from < end; from += 256) {
        READ(s0, 0);
        READ(s1, 32);
        READ(s2, 64);
        READ(s3, 96);
        READ(s0, 128);
        READ(s1, 160);
        READ(s2, 192);
        READ(s3, 224);
    }
    CHANGED(s0);
    CHANGED(s1);
    CHANGED(s2);
    CHANGED(s3);
#else
    uint64_t words[8], sum = 0;
    int i;
    for (; from < end; from += 64) {
        memcpy(words, from, 64);
        for (i = 0; i < 8; ++i) sum |= words[i];
    }
    __asm__ volatile("" : : "r"((uint32_t)sum), "r"((uint32_t)(sum >> 32)));
#endif
}

/* GB/s of reading `bytes` again and again, so often in a run that it takes some 100 us at least. */
static double read_rate(const unsigned char* memory, size_t bytes) {
    size_t times = bytes < (1u << 22) ? (1u << 22) / bytes : 1, time;
    int runs = bytes < (1u << 22) ? RUNS : 4, run;
    double best = 0;
    for (run = 0; run < runs; ++run) {
        double begin = seconds(), rate;
        for (time = 0; time < times; ++time) read_all(memory, bytes);
        rate = 1e-9 * (double)bytes * (double)times / (seconds() - begin);
        if (rate > best) best = rate;
    }
    return best;
}

int main(int count, char** values) {
    double best = 0;
    int i, run;
    for (run = 0; run < RUNS; ++run) {
        double begin = seconds(), macs = multiply(), rate = 1e-9 * macs / (seconds() - begin);
        if (rate > best) best = rate;
    }
    printf("{\"instruction\": \"%s\", \"gmac_per_s\": %.4g, \"reads\": [", INSTRUCTION, best);
    for (i = 1; i < count; ++i) {
        size_t bytes = (size_t)strtoull(values[i], NULL, 10);
        void* memory = NULL;
        if (bytes < 512 || posix_memalign(&memory, 4096, bytes) != 0) {
            fprintf(stderr, "peak: there are no %s bytes of memory to read\n", values[i]);
            return 1;
        }
        memset(memory, 1, bytes);
        printf("%s{\"bytes\": %zu, \"gb_per_s\": %.4g}", i > 1 ? ", " : "", bytes, read_rate(memory, bytes));
        free(memory);
    }
    printf("]}\n");
    return 0;
}
