"""The vector forms of N4 equal the scalar ones of subbyte_numerics.h at ties, steps, saturation and wide products."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.target import find_target
from subbyte.targets.x86 import TARGET

ROOT = Path(__file__).resolve().parents[2]
INCLUDES = [f"-I{ROOT / 'targets' / family / 'kernels'}" for family in ("x86", "common")]

# One file for both widths: SUFFIX, LANES and LOAD are given on the command line.
SOURCE = r"""
#include "x86_vector_SUFFIX.h"

// y[i] for n sums, n a multiple of 4 * LANES; form 0: scale, 1: wide, 2: shift.
void vector_codes(const int32_t* sums, const float* multipliers, const float* shifts, int form, int32_t zero,
                  int32_t qmin, int32_t qmax, int32_t n, uint8_t* y) {
    for (int32_t i = 0; i < n; i += 4 * LANES) {
        subbyte_ints_SUFFIX steps[4];
        for (int32_t k = 0; k < 4; ++k) {
            const subbyte_ints_SUFFIX sum = subbyte_load_SUFFIX(sums + i + k * LANES);
            const subbyte_floats_SUFFIX multiplier = subbyte_load_f32_SUFFIX(multipliers + i + k * LANES);
            const subbyte_floats_SUFFIX shift = subbyte_load_f32_SUFFIX(shifts + i + k * LANES);
            steps[k] = form == 0   ? subbyte_scale_SUFFIX(sum, multiplier)
                       : form == 1 ? subbyte_scale_wide_SUFFIX(sum, multiplier)
                                   : subbyte_scale_shift_SUFFIX(sum, multiplier, shift);
        }
        subbyte_store_SUFFIX(y + i,
                             subbyte_pack_codes_SUFFIX(steps[0], steps[1], steps[2], steps[3], zero, qmin, qmax));
    }
}

void scalar_codes(const int32_t* sums, const float* multipliers, const float* shifts, int form, int32_t zero,
                  int32_t qmin, int32_t qmax, int32_t n, uint8_t* y) {
    for (int32_t i = 0; i < n; ++i)
        y[i] = (uint8_t)(form == 2 ? subbyte_requantize_shift_s32(sums[i], multipliers[i], shifts[i], zero, qmin, qmax)
                                   : subbyte_requantize_s32(sums[i], multipliers[i], zero, qmin, qmax));
}

// Stores the first code alone, as a kernel of one channel does.
void first_code(const int32_t* sums, uint8_t* y) {
    const subbyte_ints_SUFFIX steps = subbyte_load_SUFFIX(sums);
    subbyte_store_part_SUFFIX(y, subbyte_pack_codes_in_lanes_SUFFIX(steps, steps, steps, steps, 3, 0, 255), 1);
    subbyte_store_chunk_SUFFIX(y + 1, subbyte_pack_codes_SUFFIX(steps, steps, steps, steps, 3, 0, 255), 0, 1);
}

"""
COMPILERS = [name for name in ("gcc", "clang", "clang-19") if which(name)]
LEVELS = {"avx2": "x86-64-v3", "avx512": "x86-64-v4"}


@pytest.fixture(
    scope="module", params=[(compiler, suffix) for compiler in COMPILERS for suffix in LEVELS], ids="-".join
)
def library(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    optional_capability: Callable[[str, str], None],
) -> ctypes.CDLL:
    """The source for one width by one compiler, with contraction of floats asked for."""
    compiler, suffix = request.param
    target = find_target(LEVELS[suffix])
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {target.name}")
    folder = tmp_path_factory.mktemp("vector")
    source, output = folder / "vector.c", folder / "vector.so"
    source.write_text(SOURCE.replace("SUFFIX", suffix).replace("LANES", f"SUBBYTE_LANES_{suffix}"))
    flags = ["-std=c99", "-O3", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    subprocess.run(
        [compiler, *target.compiler_flags, "-mfma", *flags, *INCLUDES, str(source), "-o", str(output)], check=True
    )
    return ctypes.CDLL(str(output))


def _codes(
    function: Callable[..., None], sums: NDArray[np.int32], multipliers: NDArray[np.float32],
    shifts: NDArray[np.float32], form: int, zero: int, qmin: int, qmax: int,
) -> NDArray[np.uint8]:  # fmt: skip
    y = np.empty(sums.size, np.uint8)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (sums, multipliers, shifts)]
    function(*pointers, form, zero, qmin, qmax, sums.size, y.ctypes.data_as(ctypes.c_void_p))
    return y


def _sums(multipliers: NDArray[np.float32]) -> NDArray[np.int32]:
    """Sums at and beside the steps of N4, and the extremes of int32."""
    steps = np.arange(-300, 301) + 0.5
    at = np.clip(np.rint(steps[:, None] / multipliers.astype(np.float64)), -(2**31) + 1, 2**31 - 2)
    near = (at[None] + np.array([-1, 0, 1])[:, None, None]).reshape(-1, multipliers.size)
    extremes = np.array([-(2**31), 2**31 - 1, -1, 0, 1, 2**24, 2**24 + 1, -(2**24) - 1])
    every = np.broadcast_to(extremes[:, None], (extremes.size, multipliers.size))
    return np.ascontiguousarray(np.concatenate([near, every]).astype(np.int32))


@pytest.mark.parametrize("form", [0, 1, 2])
@pytest.mark.parametrize(("zero", "qmin", "qmax"), [(0, 0, 255), (128, 0, 255), (255, 3, 200), (7, 7, 255), (1, 0, 3)])
def test_vector_forms_equal_the_scalar_form(library: ctypes.CDLL, form: int, zero: int, qmin: int, qmax: int) -> None:
    fractions = np.array([0.5, 0.25, 0.001, 0.0123, 0.99, -0.5, -0.0031, 3e-7], np.float32)
    wide = np.array([1.5, 777.0, 1e30, -1e30, 3e38, 0.5, -2.0, 0.25], np.float32)
    multipliers = np.tile(wide if form == 1 else fractions, 16)
    sums = _sums(multipliers)
    many = np.ascontiguousarray(np.broadcast_to(multipliers, sums.shape).reshape(-1))
    shifts = np.random.default_rng(form).uniform(-9, 9, many.size).astype(np.float32)
    arguments = (sums.reshape(-1), many, shifts, form, zero, qmin, qmax)
    found, expected = (_codes(getattr(library, f"{kind}_codes"), *arguments) for kind in ("vector", "scalar"))
    assert (found == expected).all()
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize(("step", "code"), [(-5, 0), (-3, 0), (-1, 2), (0, 3), (252, 255), (253, 255), (70000, 255)])
def test_a_single_code_saturates_as_all_do(library: ctypes.CDLL, step: int, code: int) -> None:
    """GCC 12 made an unsigned saturation of packus where one byte of it was stored: -5 became 255."""
    steps, y = np.full(16, step, np.int32), np.zeros(2, np.uint8)
    library.first_code(steps.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    assert y.tolist() == [code, code]


def test_the_family_names_the_levels_that_are_tested() -> None:
    assert set(LEVELS.values()) <= set(TARGET.names)
