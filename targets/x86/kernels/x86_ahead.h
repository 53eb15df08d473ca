// How far ahead kernels fetch weights that they read once, in a stream.

#ifndef SUBBYTE_X86_AHEAD_H
#define SUBBYTE_X86_AHEAD_H

// Bytes: the time that DRAM takes, and a quarter of the first cache level. 4 KiB are 1.7 times slower from DRAM, 24 KiB are
// slower everywhere, and so is fetching into the second level alone.
enum { SUBBYTE_X86_AHEAD = 12288 };

// Bytes of weights that stay in the first cache level, and of a line of memory.
enum { SUBBYTE_X86_NEAR = 32768, SUBBYTE_X86_LINE = 64 };

#endif  // SUBBYTE_X86_AHEAD_H
