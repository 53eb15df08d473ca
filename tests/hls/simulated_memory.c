// Runs a generated driver against a model of an accelerator that has ap_ctrl_hs registers and masters memory by itself.
#include <stdio.h>
#include <string.h>

#include "simulated_dma.h"
#include "small_driver.h"

unsigned char arena[ARENA_BYTES] __attribute__((aligned(64)));

enum { BASE = 0x43c00000, START = 1, DONE = 2, IDLE = 4 };
static const uint64_t BUS = 0x800000000ULL;  // above 32 bits
static uint32_t control = IDLE, arguments[16];
static int hangs, flushed, invalidated;

static unsigned char* argument(int number) {
    const uint32_t* words = &arguments[number * 3];
    return arena + (((uint64_t)words[1] << 32 | words[0]) - BUS);
}

uint32_t read_register(uintptr_t address) {
    const uint32_t value = control;
    if (address != BASE) printf("register %lx is read\n", (unsigned long)address);
    control &= ~(uint32_t)DONE;
    return value;
}

void write_register(uintptr_t address, uint32_t value) {
    if (address >= BASE + 0x10 && address < BASE + 0x50) {
        arguments[(address - BASE - 0x10) / 4] = value;
    } else if (address == BASE && (value & START)) {
        control = 0;
        if (hangs) return;
        for (int i = 0; i < 24; ++i) argument(2)[i] = (unsigned char)(argument(0)[i] + argument(1)[i]);
        control = DONE | IDLE;
    }
}

uint64_t bus_address(const void* pointer) { return BUS + (uint64_t)((const unsigned char*)pointer - arena); }
void note_flush(const void* pointer, size_t bytes) { flushed += pointer != NULL && bytes == 24; }
void note_invalidate(const void* pointer, size_t bytes) { invalidated += pointer != NULL && bytes == 24; }

int main(void) {
    const small_device device = {BASE, 100};
    int8_t *image = (int8_t*)arena, *gain = (int8_t*)(arena + 64), *scores = (int8_t*)(arena + 128);
    for (int i = 0; i < 24; ++i) image[i] = (int8_t)i, gain[i] = 100;
    printf("open %d\n", small_open(&device));
    for (int frame = 0; frame < 2; ++frame) {
        image[0] = (int8_t)-frame;
        printf("run %d:", small_run(&device, image, gain, scores));
        for (int i = 0; i < 24; ++i) printf(" %d", scores[i]);
        printf("\n");
    }
    printf("flushed %d invalidated %d\n", flushed, invalidated);
    printf("null %d unaligned %d device %d\n", small_run(&device, NULL, gain, scores),
           small_run(&device, image, gain + 4, scores), small_open(NULL));
    hangs = 1;
    printf("hangs %d", small_run(&device, image, gain, scores));
    printf(" busy %d", small_run(&device, image, gain, scores));
    printf(" open %d\n", small_open(&device));
    return 0;
}
