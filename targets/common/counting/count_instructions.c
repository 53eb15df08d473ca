// A plugin of QEMU's user mode (TCG plugin API version 1): how often each instruction of a program was executed, exactly.
//
//   cc -std=gnu99 -O2 -shared -fPIC -o count_instructions.so count_instructions.c
//   qemu-aarch64 -plugin ./count_instructions.so,output=FILE[,mark=SYMBOL] program
//
// FILE gets a line "ADDRESS COUNT SYMBOL" for each address that was executed: hexadecimal, decimal, text ("?": none);
// then "end". With a mark, each entry of the function SYMBOL ends a section with a line "mark", and the next section
// counts from there.
//
// For programs of one thread: counters are plain additions in the translated code. An instruction counts when it
// begins. Each has a counter of its own, since one for a whole block of translation is wrong where the block is left
// early.
//
// The header qemu-plugin.h is in no package of Debian; what is used of it is declared here.
// Source: QEMU 7.2, include/qemu/qemu-plugin.h.
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*translation_callback)(qemu_plugin_id_t, struct qemu_plugin_tb*);
typedef void (*exit_callback)(qemu_plugin_id_t, void*);
typedef void (*execution_callback)(unsigned, void*);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translation_callback);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_callback, void*);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, execution_callback, enum qemu_plugin_cb_flags,
                                            void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn*);
const char* qemu_plugin_insn_symbol(const struct qemu_plugin_insn*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

struct counter {
    uint64_t address, count;
    char* symbol;
    struct counter* next;
};

enum { BUCKETS = 1 << 16 };
static struct counter* buckets[BUCKETS];
static FILE* output;
static char* mark;
static uint64_t mark_address;

static void fail(const char* complaint) {
    fprintf(stderr, "count_instructions: %s\n", complaint);
    abort();
}

static void* or_fail(void* memory) {
    if (memory == NULL) fail("no memory is left");
    return memory;
}

// The counter of `address`, the same each time that it is translated.
static struct counter* counter_of(uint64_t address, const char* symbol) {
    struct counter** bucket = &buckets[(address >> 1) % BUCKETS];
    for (struct counter* known = *bucket; known != NULL; known = known->next) {
        if (known->address == address) return known;
    }
    struct counter* made = or_fail(calloc(1, sizeof *made));
    made->address = address;
    made->symbol = or_fail(strdup(symbol != NULL && symbol[0] != '\0' ? symbol : "?"));
    made->next = *bucket;
    *bucket = made;
    return made;
}

// What was counted since the last time, and a line behind it.
static void write_section(const char* line) {
    for (size_t bucket = 0; bucket < BUCKETS; ++bucket) {
        for (struct counter* counter = buckets[bucket]; counter != NULL; counter = counter->next) {
            if (counter->count == 0) continue;
            fprintf(output, "%" PRIx64 " %" PRIu64 " %s\n", counter->address, counter->count, counter->symbol);
            counter->count = 0;
        }
    }
    fprintf(output, "%s\n", line);
}

static void at_mark(unsigned processor, void* unused) {
    (void)processor, (void)unused;
    write_section("mark");
}

static void at_exit(qemu_plugin_id_t id, void* unused) {
    (void)id, (void)unused;
    write_section("end");
    if (fclose(output) != 0) fail("the output cannot be written");
}

static void at_translation(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
        struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(instruction);
        const char* symbol = qemu_plugin_insn_symbol(instruction);
        struct counter* counter = counter_of(address, symbol);
        if (mark != NULL && mark_address == 0 && symbol != NULL && strcmp(symbol, mark) == 0) mark_address = address;
        if (mark_address != 0 && address == mark_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, at_mark, QEMU_PLUGIN_CB_NO_REGS, NULL);
        }
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counter->count, 1);
    }
}

// The text behind `option` in an argument, NULL where it is another one.
static const char* value_of(const char* argument, const char* option) {
    size_t length = strlen(option);
    return strncmp(argument, option, length) == 0 ? argument + length : NULL;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t* info,
                                                               int count, char** arguments) {
    (void)info;
    for (int i = 0; i < count; ++i) {
        const char* value;
        if ((value = value_of(arguments[i], "output=")) != NULL) {
            output = fopen(value, "w");
        } else if ((value = value_of(arguments[i], "mark=")) != NULL) {
            mark = or_fail(strdup(value));
        } else {
            fprintf(stderr, "count_instructions: '%s' is none of output=FILE, mark=SYMBOL\n", arguments[i]);
            return -1;
        }
    }
    if (output == NULL) {
        fputs("count_instructions: output=FILE is missing, or FILE cannot be written\n", stderr);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
