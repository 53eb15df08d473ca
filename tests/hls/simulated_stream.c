// Runs a generated driver against the model of simulated_dma.h: two inputs, one output, frames and faults.
//   scores[i] = image[i] + gain[i], as the accelerator computes it byte by byte.
#include <stdio.h>
#include <string.h>

#include "simulated_dma.h"
#include "small_driver.h"

unsigned char arena[ARENA_BYTES] __attribute__((aligned(64)));

enum { BASE = 0x40400000, SPACING = 0x10000, BUS = 0x10000000 };
enum { RUN = 1, RESET = 4, HALTED = 1, IDLE = 2, INTERNAL_ERROR = 16 };
enum fault { NONE, HANGS, ERRS, SHORT_PACKET, STUCK_RESET };

typedef struct {
    uint32_t control, status, address, length;
    int pending;  // a transfer waits for its partner
} side;

static side sides[DMAS];  // 0 and 1 send, 2 receives
static enum fault fault;
static int flushed, invalidated, moved_before_armed;

// When both inputs have been sent and the output is armed, all end.
static void advance(void) {
    if (sides[0].pending && sides[1].pending && !sides[2].pending) moved_before_armed = 1;
    if (!sides[0].pending || !sides[1].pending || !sides[2].pending || fault == HANGS) return;
    if (fault == ERRS) {
        sides[2].status |= INTERNAL_ERROR;
        sides[0].status |= IDLE;
        sides[1].status |= IDLE;
        return;
    }
    const unsigned char* image = arena + (sides[0].address - BUS);
    const unsigned char* gain = arena + (sides[1].address - BUS);
    unsigned char* scores = arena + (sides[2].address - BUS);
    for (uint32_t i = 0; i < sides[2].length; ++i) scores[i] = (unsigned char)(image[i] + gain[i]);
    if (fault == SHORT_PACKET) sides[2].length -= 1;
    for (int i = 0; i < DMAS; ++i) {
        sides[i].status |= IDLE;
        sides[i].pending = 0;
    }
}

// A side's registers, and which of them: none but those of the side that a DMA has may be touched.
static side* side_at(uintptr_t address, uintptr_t* offset) {
    const uintptr_t number = (address - BASE) / SPACING;
    const uintptr_t first = number == 2 ? 0x30 : 0x00;
    *offset = (address - BASE) % SPACING - first;
    if (address < BASE || number >= DMAS || *offset > 0x28) {
        printf("no register at %lx\n", (unsigned long)address);
        return NULL;
    }
    return &sides[number];
}

uint32_t read_register(uintptr_t address) {
    uintptr_t offset;
    const side* at = side_at(address, &offset);
    if (at == NULL) return 0xffffffffu;
    return offset == 0x00 ? at->control : offset == 0x04 ? at->status : offset == 0x28 ? at->length : 0;
}

void write_register(uintptr_t address, uint32_t value) {
    uintptr_t offset;
    side* at = side_at(address, &offset);
    if (at == NULL) return;
    if (offset == 0x00 && (value & RESET)) {
        memset(at, 0, sizeof *at);
        at->status = HALTED;
        at->control = fault == STUCK_RESET ? RESET : 0;
    } else if (offset == 0x00) {
        at->control = value;
        if (value & RUN) at->status &= ~(uint32_t)HALTED;
    } else if (offset == 0x18) {
        at->address = value;
    } else if (offset == 0x28 && !(at->status & (HALTED | INTERNAL_ERROR))) {
        at->length = value;
        at->status &= ~(uint32_t)IDLE;
        at->pending = 1;
        advance();
    }
}

uint64_t bus_address(const void* pointer) { return BUS + (uint64_t)((const unsigned char*)pointer - arena); }
void note_flush(const void* pointer, size_t bytes) { flushed += pointer != NULL && bytes == 24; }
void note_invalidate(const void* pointer, size_t bytes) { invalidated += pointer != NULL && bytes == 24; }

int main(void) {
    const small_device device = {BASE, BASE + SPACING, BASE + 2 * SPACING, 100};
    int8_t *image = (int8_t*)arena, *gain = (int8_t*)(arena + 64), *scores = (int8_t*)(arena + 128), tensor[24];
    int32_t result[24];
    for (int i = 0; i < 24; ++i) tensor[i] = (int8_t)i;
    small_image_pack(tensor, image);
    for (int i = 0; i < 24; ++i) printf("%d ", image[i]);
    for (int i = 0; i < 24; ++i) gain[i] = 100;
    printf("\nopen %d\n", small_open(&device));
    for (int frame = 0; frame < 2; ++frame) {
        image[0] = (int8_t)-frame;
        printf("run %d:", small_run(&device, image, gain, scores));
        small_scores_unpack(scores, result);
        for (int i = 0; i < 24; ++i) printf(" %d", (int)result[i]);
        printf("\n");
    }
    printf("flushed %d invalidated %d early %d\n", flushed, invalidated, moved_before_armed);
    printf("null %d unaligned %d far %d device %d\n", small_run(&device, NULL, gain, scores),
           small_run(&device, image + 1, gain, scores), small_run(&device, image, gain, (int8_t*)arena + 0xf0000000u),
           small_run(NULL, image, gain, scores));
    const enum fault faults[] = {HANGS, ERRS, SHORT_PACKET};
    for (int i = 0; i < 3; ++i) {
        fault = faults[i];
        printf("fault %d:", small_run(&device, image, gain, scores));
        fault = NONE;
        printf(" open %d", small_open(&device));
        printf(" run %d\n", small_run(&device, image, gain, scores));
    }
    fault = STUCK_RESET;
    printf("stuck %d null %d\n", small_open(&device), small_open(NULL));
    printf("scale %.9g %d\n", small_image_scales[0], (int)small_image_zero_points[0]);
    return 0;
}
