"""What compilers make of the inner loops that sum in 16 bits: every sum in its register, no copies, few loads."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.targets.x86.rows import KERNELS

_COMMON = KERNELS.parents[1] / "common" / "kernels"
_GEOMETRY = """#include "x86_sums_{dot}.h"
static const struct subbyte_x86_conv shape = {{
    .height = 56, .width = 56, .channels = 64, .out_height = 56, .out_width = 56, .outputs = 64, .kernel_height = 3,
    .kernel_width = 3, .stride_height = 1, .stride_width = 1, .dilation_height = 1, .dilation_width = 1, .pad_top = 1,
    .pad_left = 1, .row_tiles = 56, .column_tiles = 1, .panel_tiles = 1, .pixels = {pixels}, .vectors = {vectors},
    .window = 1, .qmax = 255, .x_bits = 8, .y_bits = 8, .held_runs = 3, .held_groups = 48,
}};
void call(const uint8_t* x, const int8_t* w, const int32_t* of, const int32_t* at, const int32_t* bias,
          const float* multiplier, uint8_t* y, void* scratch);
void call(const uint8_t* x, const int8_t* w, const int32_t* of, const int32_t* at, const int32_t* bias,
          const float* multiplier, uint8_t* y, void* scratch) {{
    (void)of;
    (void)at;
    subbyte_x86_sums_u8s8u8_{dot}(x, w, {places} bias, multiplier, 0, y, &shape, 0, 56, scratch);
}}
"""
_BUNDLE_SIZES = (4, 2, 1)


def _loops(dot: str, pixels: int, vectors: int, places: str, folder: Path) -> list[list[str]]:
    """The innermost loops of the kernel with this register tile that multiply, a list of instructions each."""
    target = find_target("x86-64-v3")
    compiler = find_compiler(target)
    source, built = folder / "call.c", folder / "call.o"
    source.write_text(_GEOMETRY.format(dot=dot, pixels=pixels, vectors=vectors, places=places))
    flags = (*compiler.flags_for(target), f"-I{KERNELS}", f"-I{_COMMON}", "-c")
    compile_c(compiler, flags, [source], built)
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(built)], capture_output=True, text=True, check=True
    ).stdout
    lines = re.findall(r"^\s*([0-9a-f]+):\s+(.+?)\s*$", text, flags=re.MULTILINE)
    place = {int(address, 16): k for k, (address, _) in enumerate(lines)}
    jumps = {
        k: int(found[1], 16) for k, (_, line) in enumerate(lines) if (found := re.match(r"j\w+\s+([0-9a-f]+)", line))
    }
    ends = sorted((k, place[to]) for k, to in jumps.items() if to in place and place[to] < k)
    inner = [(begin, end) for end, begin in ends if not any(begin <= b and e < end for e, b in ends)]
    bodies = [[line for _, line in lines[begin : end + 1]] for begin, end in inner]
    return [body for body in bodies if any("vpmaddubsw" in line for line in body)]


def _counts(loop: list[str]) -> Counter[str]:
    counts = Counter(line.split()[0] for line in loop)
    counts["copies"] = sum(bool(re.match(r"vmov\w+\s+%[xyz]mm\d+,%[xyz]mm\d+$", line)) for line in loop)
    counts["spills"] = sum("mm" in line and ("(%rsp" in line or "(%rbp" in line) for line in loop)
    return counts


@pytest.fixture(autouse=True)
def _needs(optional_capability: Callable[[str, str], None]) -> None:
    if not find_target("x86-64-v3").runs_here:
        optional_capability("instruction set", "the host's compiler does not compile for x86-64-v3")


@pytest.mark.parametrize(("pixels", "vectors"), [(2, 4), (3, 3), (4, 2), (7, 1)])
def test_short_sums_are_multiplied_and_added_and_nothing_else(pixels: int, vectors: int, tmp_path: Path) -> None:
    loops = [_counts(loop) for loop in _loops("avx2_short", pixels, vectors, "", tmp_path)]
    full = [loop for loop in loops if loop["vpmaddubsw"] == pixels * vectors]
    assert full
    for loop in full:
        assert loop["spills"] == loop["copies"] == loop["vpmaddwd"] == 0
        assert (loop["vpaddw"], loop["vpbroadcastd"]) == (pixels * vectors, pixels)
        assert sum(loop.values()) <= 2 * pixels * vectors + pixels + vectors + 6


@pytest.mark.parametrize("pixels", [7, 8, 10])
def test_a_bundle_of_two_is_widened_once(pixels: int, tmp_path: Path) -> None:
    loops = [_counts(loop) for loop in _loops("avx2_bundles", pixels, 1, "of, at,", tmp_path)]
    found = {loop["vpmaddubsw"]: loop for loop in loops}
    for size in _BUNDLE_SIZES:
        loop = found[size * pixels]
        assert (loop["vpmaddwd"], loop["vpaddd"], loop["vpaddw"]) == (pixels, pixels, (size - 1) * pixels)
        assert loop["vpbroadcastd"] == size * pixels
    assert found[2 * pixels]["spills"] == 0
