// Runs the conformance vectors that are linked into it (VECTORS names the file) on the machine at hand, without a C library.
// The exit status is 0, or the number of the first case that is wrong or unknown, at most 255.

#include "subbyte_numerics.h"

#if defined(__riscv)
#define ALIGN ".balign 8\n"
#else
#define ALIGN ".balign 16\n"
#endif
__asm__(".section .rodata\n" ALIGN ".globl conformance_vectors\nconformance_vectors:\n.incbin \"" VECTORS
        "\"\n.text\n");
extern const unsigned char conformance_vectors[];

// What compilers call without being asked.
void* memset(void* to, int value, size_t count) {
    unsigned char* byte = (unsigned char*)to;
    while (count--) *byte++ = (unsigned char)value;
    return to;
}

void* memcpy(void* to, const void* from, size_t count) {
    unsigned char* byte = (unsigned char*)to;
    const unsigned char* source = (const unsigned char*)from;
    while (count--) *byte++ = *source++;
    return to;
}

struct vector {
    const char* function;
    uint64_t elements;
    const void* operand[12];
    const void* expected;
    uint32_t result_size;
    int is_float;
};

static int same_text(const char* a, const char* b) {
    for (; *a && *a == *b; a++, b++) continue;
    return *a == *b;
}

static uint32_t size_of(char type) { return type == 'h' ? 2u : type == 'l' || type == 'm' ? 8u : 4u; }

// Reads one case at `at` and returns where the next one begins.
static const unsigned char* read_vector(const unsigned char* at, struct vector* v) {
    const char* types = (const char*)at + 32;
    uint32_t i = 0;
    v->function = (const char*)at;
    memcpy(&v->elements, at + 48, 8);
    at += 56;
    for (; *types; types++) {
        if (*types == ':') continue;
        v->operand[i++] = at;
        v->result_size = size_of(*types);
        v->is_float = *types == 'f';
        at += (v->elements * v->result_size + 7u) / 8u * 8u;
    }
    v->expected = v->operand[i - 1];
    return at;
}

static int is_equal(const struct vector* v, uint64_t i, const void* got) {
    const unsigned char* want = (const unsigned char*)v->expected + i * v->result_size;
    const unsigned char* bytes = (const unsigned char*)got;
    uint32_t k;
    if (v->is_float) {
        float a, b;
        memcpy(&a, want, 4);
        memcpy(&b, got, 4);
        if (a != a && b != b) return 1;
    }
    for (k = 0; k < v->result_size; k++) {
        if (want[k] != bytes[k]) return 0;
    }
    return 1;
}

#define ARGUMENT(K, TYPE) (((const TYPE*)v->operand[K])[i])
// A root is two numbers, and stands in the place of one operand.
static uint64_t subbyte_inverse_of_root(uint64_t whole, uint32_t part) {
    return subbyte_inverse_root(whole, part).inverse;
}

static int32_t subbyte_exponent_of_root(uint64_t whole, uint32_t part) {
    return subbyte_inverse_root(whole, part).exponent;
}

static int32_t subbyte_normalized_code_of(int64_t deviation, uint64_t whole, uint32_t part, int32_t gain,
                                          int64_t offset, int32_t f, int32_t h, int32_t zp, int32_t qmin,
                                          int32_t qmax) {
    return subbyte_normalized_code(deviation, subbyte_inverse_root(whole, part), gain, offset, f, h, zp, qmin, qmax);
}

#define CHECK(NAME, RESULT, ...)                              \
    if (same_text(v->function, #NAME)) {                      \
        for (i = 0; i < v->elements; i++) {                   \
            RESULT got = (RESULT)subbyte_##NAME(__VA_ARGS__); \
            if (!is_equal(v, i, &got)) return 0;              \
        }                                                     \
        return 1;                                             \
    }
#define F(K) ARGUMENT(K, float)
#define I(K) ARGUMENT(K, int32_t)
#define U(K) ARGUMENT(K, uint32_t)
#define H(K) ARGUMENT(K, uint16_t)
#define L(K) ARGUMENT(K, int64_t)
#define M(K) ARGUMENT(K, uint64_t)
#define FUNCTION_1(NAME) CHECK(NAME, float, F(0))
#define FUNCTION_2(NAME) CHECK(NAME, float, F(0), F(1))
#define FUNCTION_3(NAME) CHECK(NAME, float, F(0), F(1), F(2))

static int check_integers(const struct vector* v) {
    uint64_t i;
    CHECK(dequantize, float, I(0), F(1))
    CHECK(quantize_f32, int32_t, F(0), F(1), I(2), I(3), I(4))
    CHECK(quantize_mode_f32, int32_t, F(0), F(1), I(2), I(3), I(4), I(5), I(6))
    CHECK(f16_to_f32, float, H(0))
    CHECK(f32_to_f16, uint16_t, F(0))
    CHECK(average, float, I(0), F(1), I(2))
    CHECK(softmax_code, int32_t, U(0), M(1), M(2), I(3), I(4), I(5), I(6))
    CHECK(requantize_s32, int32_t, I(0), F(1), I(2), I(3), I(4))
    CHECK(requantize_s64, int32_t, L(0), F(1), I(2), I(3), I(4))
    CHECK(requantize_shift_s32, int32_t, I(0), F(1), F(2), I(3), I(4), I(5))
    CHECK(requantize_shift_s64, int32_t, L(0), F(1), F(2), I(3), I(4), I(5))
    CHECK(requantize_emulated_s64, int32_t, L(0), I(1), I(2), I(3), I(4), I(5))
    CHECK(requantize_half_even_s32, int32_t, I(0), I(1), I(2), I(3), I(4), I(5))
    CHECK(shift_rne_s64, int64_t, L(0), I(1))
    CHECK(isqrt_u64, uint32_t, M(0))
    CHECK(inverse_of_root, uint64_t, M(0), U(1))
    CHECK(exponent_of_root, int32_t, M(0), U(1))
    CHECK(normalized_code_of, int32_t, L(0), M(1), U(2), I(3), L(4), I(5), I(6), I(7), I(8), I(9))
    return -1;
}

static int check_floats(const struct vector* v) {
    uint64_t i;
    FUNCTION_1(relu_f32)
    FUNCTION_2(leaky_relu_f32)
    FUNCTION_3(clip_f32)
    FUNCTION_1(sigmoid_f32)
    FUNCTION_3(hard_sigmoid_f32)
    FUNCTION_1(hard_swish_f32)
    FUNCTION_1(tanh_f32)
    FUNCTION_1(gelu_f32)
    FUNCTION_1(gelu_tanh_f32)
    FUNCTION_1(erf_f32)
    FUNCTION_1(exp_f32)
    FUNCTION_1(log_f32)
    FUNCTION_1(sqrt_f32)
    FUNCTION_1(reciprocal_f32)
    FUNCTION_1(neg_f32)
    FUNCTION_1(abs_f32)
    FUNCTION_1(floor_f32)
    FUNCTION_1(ceil_f32)
    FUNCTION_1(rint_f32)
    FUNCTION_1(sign_f32)
    FUNCTION_1(softplus_f32)
    FUNCTION_1(softsign_f32)
    FUNCTION_2(elu_f32)
    FUNCTION_3(selu_f32)
    FUNCTION_2(celu_f32)
    FUNCTION_2(thresholded_relu_f32)
    FUNCTION_1(mish_f32)
    FUNCTION_1(expm1_f32)
    FUNCTION_1(log1p_f32)
    FUNCTION_1(rsqrt_f32)
    FUNCTION_2(pow_f32)
    FUNCTION_2(min_f32)
    FUNCTION_2(max_f32)
    return -1;
}

static int first_wrong_case(void) {
    const unsigned char* at = conformance_vectors + 16;
    uint64_t count, k;
    memcpy(&count, conformance_vectors + 8, 8);
    for (k = 0; k < count; k++) {
        struct vector v = {0};
        int right;
        at = read_vector(at, &v);
        right = check_integers(&v);
        if (right < 0) right = check_floats(&v);
        if (right != 1) return k < 254 ? (int)k + 1 : 255;
    }
    return count == 0 ? 255 : 0;
}

void run_and_exit(void);
void run_and_exit(void) {
    long status = first_wrong_case();
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60L), "D"(status) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = 93, argument __asm__("x0") = status;
    __asm__ volatile("svc 0" : : "r"(number), "r"(argument) : "memory");
#elif defined(__arm__)
    __asm__ volatile("mov r0, %0\n\tmov r7, #1\n\tsvc 0" : : "r"(status) : "r0", "r7", "memory");
#elif defined(__riscv)
    register long number __asm__("a7") = 93, argument __asm__("a0") = status;
    __asm__ volatile("ecall" : : "r"(number), "r"(argument) : "memory");
#endif
    for (;;) continue;
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tand $-16, %rsp\n\tcall run_and_exit\n");
#else
void _start(void);
void _start(void) { run_and_exit(); }
#endif
