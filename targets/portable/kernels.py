"""The kernel table of the target `portable`, by subject."""

from __future__ import annotations

from subbyte.compiler.target import Kernel
from subbyte.targets.portable import (
    kernels_blocks,
    kernels_codebooks,
    kernels_codes,
    kernels_dynamic,
    kernels_float_sums,
    kernels_floats,
    kernels_functions,
    kernels_indexing,
    kernels_logic,
    kernels_movement,
    kernels_normalization,
    kernels_packed,
    kernels_sums,
    kernels_windows,
)

KERNELS: tuple[Kernel, ...] = (
    *kernels_packed.ROWS,
    *kernels_sums.ROWS,
    *kernels_blocks.ROWS,
    *kernels_codebooks.ROWS,
    *kernels_codes.ROWS,
    *kernels_dynamic.ROWS,
    *kernels_windows.ROWS,
    *kernels_movement.ROWS,
    *kernels_float_sums.ROWS,
    *kernels_floats.ROWS,
    *kernels_normalization.ROWS,
    *kernels_logic.ROWS,
    *kernels_indexing.ROWS,
    *kernels_functions.ROWS,
)
