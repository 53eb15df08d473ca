// A small model of AXI DMAs without scatter-gather (AMD PG021), behind the access macros of the driver, and of an
// accelerator between them that answers when all its inputs have come. Memory is an arena with bus addresses of its own.
#ifndef TESTS_SIMULATED_DMA_H
#define TESTS_SIMULATED_DMA_H

#include <stddef.h>
#include <stdint.h>

enum { ARENA_BYTES = 4096, DMAS = 3 };
extern unsigned char arena[ARENA_BYTES];

uint32_t read_register(uintptr_t address);
void write_register(uintptr_t address, uint32_t value);
uint64_t bus_address(const void* pointer);
void note_flush(const void* pointer, size_t bytes);
void note_invalidate(const void* pointer, size_t bytes);

#define SUBBYTE_READ32(address) read_register(address)
#define SUBBYTE_WRITE32(address, value) write_register(address, value)
#define SUBBYTE_BUS_ADDRESS(pointer) bus_address(pointer)
#define SUBBYTE_FLUSH(pointer, bytes) note_flush(pointer, bytes)
#define SUBBYTE_INVALIDATE(pointer, bytes) note_invalidate(pointer, bytes)

#endif  // TESTS_SIMULATED_DMA_H
