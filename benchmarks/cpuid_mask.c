// Preloaded, hides instruction sets from libraries of the process: their CPUID instructions trap, and the handler answers
// what the processor says less the hidden features.
//
//   cc -std=gnu99 -O2 -shared -fPIC -o cpuid_mask.so cpuid_mask.c
//   SUBBYTE_CPUID_LEVEL=avx2 SUBBYTE_CPUID_TRAP=faulting LD_PRELOAD=./cpuid_mask.so program      (or avxvnni; or patched)
//
// faulting: the processor makes every CPUID outside the kernel fault. patched: the CPUID instructions (0f a2) of the
// libraries in question were overwritten by `int 0xa2` (cd a2), which is as long and faults in the same way.
//
// Source: Linux arch_prctl(2), ARCH_SET_CPUID; Intel SDM volume 2, CPUID and INT n.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID_CODE = 0x1012, CPUID_FAULTS = 0, CPUID_ANSWERS = 1, EXIT_NO_MASK = 125 };

struct registers {
    uint32_t eax, ebx, ecx, edx;
};

// Bits of leaf 7, subleaf 0.
enum {
    AVX512F = 16,
    AVX512DQ = 17,
    AVX512_IFMA = 21,
    AVX512PF = 26,
    AVX512ER = 27,
    AVX512CD = 28,
    AVX512BW = 30,
    AVX512VL = 31
};
static const uint32_t leaf7_ebx = 1u << AVX512F | 1u << AVX512DQ | 1u << AVX512_IFMA | 1u << AVX512PF | 1u << AVX512ER |
                                  1u << AVX512CD | 1u << AVX512BW | 1u << AVX512VL;
enum { AVX512_VBMI = 1, AVX512_VBMI2 = 6, AVX512_VNNI = 11, AVX512_BITALG = 12, AVX512_VPOPCNTDQ = 14 };
static const uint32_t leaf7_ecx =
    1u << AVX512_VBMI | 1u << AVX512_VBMI2 | 1u << AVX512_VNNI | 1u << AVX512_BITALG | 1u << AVX512_VPOPCNTDQ;
enum {
    AVX512_4VNNIW = 2,
    AVX512_4FMAPS = 3,
    AVX512_VP2INTERSECT = 8,
    AMX_BF16 = 22,
    AVX512_FP16 = 23,
    AMX_TILE = 24,
    AMX_INT8 = 25
};
static const uint32_t leaf7_edx = 1u << AVX512_4VNNIW | 1u << AVX512_4FMAPS | 1u << AVX512_VP2INTERSECT |
                                  1u << AMX_BF16 | 1u << AVX512_FP16 | 1u << AMX_TILE | 1u << AMX_INT8;
// Bits of leaf 7, subleaf 1.
enum { AVX_VNNI = 4, AVX512_BF16 = 5, AMX_FP16 = 21, AVX_IFMA = 23 };
enum { AVX_VNNI_INT8 = 4, AVX_VNNI_INT16 = 10, AVX10 = 19 };

static int hides_avxvnni;
static int is_patched;
static struct sigaction previous;
static volatile sig_atomic_t answers;

// How many CPUID instructions were answered so far.
int cpuid_mask_answers(void) { return answers; }

static void hide(uint32_t leaf, uint32_t subleaf, struct registers* r) {
    if (leaf == 7 && subleaf == 0) {
        r->ebx &= ~leaf7_ebx;
        r->ecx &= ~leaf7_ecx;
        r->edx &= ~leaf7_edx;
    } else if (leaf == 7 && subleaf == 1) {
        r->eax &= ~(1u << AVX512_BF16 | 1u << AMX_FP16 | 1u << AVX_IFMA);
        r->edx &= ~(1u << AVX_VNNI_INT8 | 1u << AVX_VNNI_INT16 | 1u << AVX10);
        if (hides_avxvnni) {
            r->eax &= ~(1u << AVX_VNNI);
        }
    }
}

static long let_cpuid(int answer) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID_CODE, answer); }

static struct registers processor_answer(uint32_t leaf, uint32_t subleaf) {
    struct registers r = {leaf, 0, subleaf, 0};
    if (!is_patched) {
        let_cpuid(CPUID_ANSWERS);
    }
    __asm__ volatile("cpuid" : "+a"(r.eax), "=b"(r.ebx), "+c"(r.ecx), "=d"(r.edx));
    if (!is_patched) {
        let_cpuid(CPUID_FAULTS);
    }
    return r;
}

// A CPUID, or what was written over one, is answered and stepped over; any other fault goes to whoever had it before.
static void on_fault(int number, siginfo_t* info, void* raw_context) {
    (void)number;
    (void)info;
    greg_t* registers = ((ucontext_t*)raw_context)->uc_mcontext.gregs;
    const uint8_t* instruction = (const uint8_t*)registers[REG_RIP];
    if (instruction == NULL || instruction[0] != (is_patched ? 0xcd : 0x0f) || instruction[1] != 0xa2) {
        sigaction(SIGSEGV, &previous, NULL);
        return;
    }
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    struct registers r = processor_answer(leaf, subleaf);
    hide(leaf, subleaf, &r);
    registers[REG_RAX] = r.eax;
    registers[REG_RBX] = r.ebx;
    registers[REG_RCX] = r.ecx;
    registers[REG_RDX] = r.edx;
    registers[REG_RIP] += 2;
    ++answers;
}

// Whether the environment variable is `first`; it is `second` otherwise, or the process ends.
static int is_first(const char* variable, const char* first, const char* second) {
    const char* value = getenv(variable);
    if (value != NULL && (strcmp(value, first) == 0 || strcmp(value, second) == 0)) {
        return strcmp(value, first) == 0;
    }
    fprintf(stderr, "cpuid_mask: %s is '%s'; %s or %s is expected\n", variable, value ? value : "", first, second);
    _exit(EXIT_NO_MASK);
}

__attribute__((constructor)) static void mask(void) {
    struct sigaction action;
    hides_avxvnni = is_first("SUBBYTE_CPUID_LEVEL", "avx2", "avxvnni");
    is_patched = is_first("SUBBYTE_CPUID_TRAP", "patched", "faulting");
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &previous);
    if (!is_patched && let_cpuid(CPUID_FAULTS) != 0) {
        fprintf(stderr, "cpuid_mask: this machine has no CPUID faulting (%s)\n", strerror(errno));
        _exit(EXIT_NO_MASK);
    }
}
