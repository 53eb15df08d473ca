// Part of the bodies that sum products: shorthands for what SUBBYTE_ISA, SUBBYTE_DOT and SUBBYTE_WORDS choose. No guard: it is
// included once for each instruction, and x86_sums_names_end.h takes it all back.

#define V(stem) SUBBYTE_OF(stem, SUBBYTE_ISA)
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)
#define LANES V(SUBBYTE_LANES_)
#define INTS V(subbyte_ints_)
#define FLOATS V(subbyte_floats_)
#if SUBBYTE_WORDS
#define CELL uint16_t
#else
#define CELL uint8_t
#endif
#define GROUP (4 / (int32_t)sizeof(CELL))
