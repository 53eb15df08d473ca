"""The instructions that multiply and add on x86, best first."""

from __future__ import annotations

from subbyte.targets.x86.registers import REGISTERS, Dot

AVX2, AVX512 = REGISTERS["avx2"].features, REGISTERS["avx512"].features

DOTS = (
    Dot("avx512vnni", 16, 4, 32, 0, 1, 400.0, AVX512 | {"avx512vnni"}),
    Dot("avxvnni", 8, 4, 16, 0, 1, 200.0, AVX2 | {"avxvnni"}),
    Dot("avx512_maddubs", 16, 4, 32, 2, 3, 160.0, AVX512),
    Dot("avx512_madd", 16, 2, 32, 1, 2, 120.0, AVX512),
    Dot("avx2_maddubs", 8, 4, 16, 2, 3, 80.0, AVX2),
    Dot("avx2_madd", 8, 2, 16, 1, 2, 60.0, AVX2),
)

# Weights stored as 16-bit integers, for those that stay in the first cache level: nothing widens them. A group is one
# multiplication and one addition; loads bound tiles of one vector, and 5 pixels by 2 vectors is measured the best.
WORDS = Dot("avx2_words", 8, 2, 16, 3, 1, 66.0, AVX2)
