// Part of the bodies that sum products: takes back what x86_sums_names.h defines, and what it was defined from.

#undef V
#undef F
#undef LANES
#undef INTS
#undef FLOATS
#undef CELL
#undef GROUP
#undef SUBBYTE_ISA
#undef SUBBYTE_DOT
#undef SUBBYTE_WORDS
