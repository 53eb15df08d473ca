"""Inner loops of other libraries' kernels, written anew with their tiles: checked against sums, counted, modelled.

Kernels that were published as assembly keep the order of their instructions; those in C or TVM's language are left to
the compiler. What stands before and behind the loop, the requantization too, is left out: the figures are the loop's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm.peers import aarch32, aarch64

Array = NDArray[Any]
FOLDER = Path(__file__).parent
_XNNPACK = "google/XNNPACK, src/qs8-qc8w-gemm/gen/qs8-qc8w-gemm-"
_PADDING = 64  # bytes behind each row and behind all weights: loops load ahead


@dataclass(frozen=True)
class Peer:
    """One kernel's loop.

    source: the file that it was read in, and the commit. state: the registers that it needs, "aarch32" or "aarch64".
    features: instruction sets beyond NEON. bits: of weights and activations.
    text: the function `peer` in assembly or C (`suffix` says which), `defines` for the compiler.
    rows, columns: of the tile, which `operands` makes at random for a depth and `sums` reads back from memory.
    """

    name: str
    title: str
    source: str
    state: str
    features: frozenset[str]
    bits: int
    rows: int
    columns: int
    text: str
    suffix: str
    pack_activations: Callable[[Array], Array]
    pack_weights: Callable[[Array], Array]
    sums: Callable[[bytes], Array]
    sums_bytes: int
    unsigned_activations: bool = False
    unipolar: bool = False
    defines: tuple[str, ...] = ()

    def operands(self, depth: int, random: np.random.Generator) -> tuple[Array, Array]:
        """Codes [rows, depth] and [columns, depth]; the last row and column are the extremes."""
        if self.bits == 2:
            activations = random.integers(0, 4, (self.rows, depth))
            weights = random.choice([-3, -1, 1, 3] if self.unipolar else [0, 1, 2, 3], (self.columns, depth))
            return activations, weights
        low, high = (0, 256) if self.unsigned_activations else (-128, 128)
        activations = random.integers(low, high, (self.rows, depth))
        weights = random.integers(-127, 128, (self.columns, depth))
        activations[-1], weights[-1] = low, -127
        return activations, weights


def _rows(codes: Array) -> Array:
    return np.pad(codes, ((0, 0), (0, _PADDING))).astype(np.uint8).reshape(-1)


def _blocks(codes: Array, block: int) -> Array:
    """[vectors, depth] -> [depth / block][vectors][block]"""
    vectors, depth = codes.shape
    packed = codes.reshape(vectors, depth // block, block).transpose(1, 0, 2).astype(np.uint8).reshape(-1)
    return np.pad(packed, (0, 8 * _PADDING))


def _added(rows: int, columns: int, by_column: bool) -> Callable[[bytes], Array]:
    """Four partial sums for each output; outputs lie column after column, or row after row."""

    def read(memory: bytes) -> Array:
        sums: Array = np.frombuffer(memory, np.int32).reshape(-1, 4).sum(axis=1)
        return sums.reshape(columns, rows).T if by_column else sums.reshape(rows, columns)

    return read


def _fours(rows: int, columns: int, by_column: bool) -> Callable[[bytes], Array]:
    """Vectors of four columns; those of a group of columns lie row after row, or those of a row group after group."""

    def read(memory: bytes) -> Array:
        vectors = np.frombuffer(memory, np.int32)
        if by_column:
            return vectors.reshape(columns // 4, rows, 4).transpose(1, 0, 2).reshape(rows, columns)
        return vectors.reshape(rows, columns)

    return read


def _assembly(
    name: str, title: str, source: str, state: str, rows: int, columns: int, text: str, weights: int,
    sums: Callable[[bytes], Array], vectors: int, features: tuple[str, ...] = (), packed: int | None = None,
) -> Peer:  # fmt: skip
    """packed: the block of activations, where they are packed too."""
    return Peer(
        name, title, source, state, frozenset(features), 8, rows, columns, text, ".s",
        _rows if packed is None else lambda codes: _blocks(codes, packed),
        lambda codes: _blocks(codes, weights), sums, 16 * vectors,
    )  # fmt: skip


def _planes(codes: Array) -> Array:
    """[vectors, depth] of 2 bits -> [depth / 128][2 bits][vectors][16 bytes]"""
    bits = np.stack([codes & 1, codes >> 1])  # [2, vectors, depth]
    packed = np.packbits(bits.astype(np.uint8).reshape(2, len(codes), -1, 128), axis=-1)
    return packed.transpose(2, 0, 1, 3).reshape(-1)


def _smmla_sums(memory: bytes) -> Array:
    return np.frombuffer(memory, np.int32).reshape(2, 8, 2, 2).transpose(0, 2, 1, 3).reshape(4, 16)


def _bit_serial(state: str, unipolar: bool) -> Peer:
    name = "unipolar" if unipolar else "bipolar"
    counts = "two counts" if unipolar else "one count"
    return Peer(
        f"tvm-bit-serial-{name}-{state}", f"TVM bit-serial W2A2, {counts} for a pair of bits",
        "apache/tvm, python/tvm/topi/arm_cpu/bitserial_conv2d.py, commit 3d607ad6", state, frozenset(), 2, 1, 8,
        (FOLDER / "bit_serial.c").read_text(), ".c", _planes,
        (lambda codes: _planes((codes + 3) // 2)) if unipolar else _planes,
        lambda memory: np.frombuffer(memory, np.int16).astype(np.int32).reshape(1, 8), 16,
        unipolar=unipolar, defines=("-DUNIPOLAR",) if unipolar else (),
    )  # fmt: skip


PEERS = (
    _assembly(
        "xnnpack-2x8c8", "XNNPACK 2x8c8 smull, smlal, sadalp",
        f"{_XNNPACK}2x8c8-minmax-fp32-asm-aarch64-neon-mlal.S, commit 01a345b5", "aarch64", 2, 8,
        aarch64.xnnpack_2x8c8(), 8, _added(2, 8, True), 16,
    ),
    _assembly(
        "xnnpack-2x8c8-a53", "XNNPACK 2x8c8 smull, smlal, sadalp, for the A53",
        f"{_XNNPACK}2x8c8-minmax-fp32-asm-aarch64-neon-mlal-cortex-a53.S, commit 01a345b5", "aarch64", 2, 8,
        aarch64.xnnpack_2x8c8_cortex_a53(), 8, _added(2, 8, True), 16,
    ),
    *(
        Peer(
            f"xnnpack-2x8c8-c-{state}", "XNNPACK 2x8c8 in C, as the compiler orders it",
            "google/XNNPACK, src/qs8-gemm/gen/2x8c8-minmax-rndnu-neon-mlal.c, commit 03efa0f8", state, frozenset(), 8,
            2, 8, (FOLDER / "mlal.c").read_text(), ".c", _rows, lambda codes: _blocks(codes, 8), _added(2, 8, True),
            256,
        )
        for state in ("aarch64", "aarch32")
    ),
    _assembly(
        "xnnpack-4x16-lane-a53", "XNNPACK 4x16 smlal by element, for the A53",
        f"{_XNNPACK}4x16-minmax-fp32-asm-aarch64-neon-mlal-lane-cortex-a53.S, commit 19938c37", "aarch64", 4, 16,
        aarch64.xnnpack_4x16_lane_cortex_a53(), 1, _fours(4, 16, True), 16,
    ),
    _assembly(
        "ruy-4x4", "ruy 4x4 smull, smlal2, sadalp",
        "google/ruy, ruy/kernel_arm64.cc, Kernel8bitNeon, commit 0aa3f8b4", "aarch64", 4, 4,
        aarch64.ruy_4x4(), 16, _added(4, 4, True), 16, packed=16,
    ),
    _assembly(
        "ruy-4x4-in-order", "ruy 4x4 smull, smlal2, sadalp, for in-order cores",
        "google/ruy, ruy/kernel_arm64.cc, Kernel8bitNeonA55ish, commit 0aa3f8b4", "aarch64", 4, 4,
        aarch64.ruy_4x4_in_order(), 16, _added(4, 4, True), 16, packed=16,
    ),
    Peer(
        "qnnpack-8x8", "QNNPACK 8x8 smlal by element",
        "pytorch/QNNPACK, src/q8gemm/8x8-aarch64-neon.S, commit 0eb337fd", "aarch64", frozenset(), 8, 8, 8,
        aarch64.qnnpack_8x8(), ".s", _rows, lambda codes: _blocks(codes + 128, 1), _fours(8, 8, False), 256,
        unsigned_activations=True,
    ),
    _assembly(
        "xnnpack-4x16c4", "XNNPACK 4x16c4 sdot",
        "google/XNNPACK, src/qs8-gemm/4x16c4-aarch64-neondot-ld64.S.in, commit 01a345b5", "aarch64", 4, 16,
        aarch64.xnnpack_4x16c4(), 4, _fours(4, 16, True), 16, ("dotprod",),
    ),
    _assembly(
        "xnnpack-4x16c4-a55", "XNNPACK 4x16c4 sdot, for the A55",
        "google/XNNPACK, src/qs8-gemm/4x16c4-aarch64-neondot-cortex-a55.S.in, commit 01a345b5", "aarch64", 4, 16,
        aarch64.xnnpack_4x16c4_cortex_a55(), 4, _fours(4, 16, True), 16, ("dotprod",),
    ),
    Peer(
        "xnnpack-4x16c8", "XNNPACK 4x16c8 smmla",
        f"{_XNNPACK}4x16c8-minmax-fp32-neoni8mm.c, commit 0c8e4a00", "aarch64", frozenset({"i8mm"}), 8, 4, 16,
        (FOLDER / "smmla.c").read_text(), ".c", _rows, lambda codes: _blocks(codes, 8), _smmla_sums, 256,
    ),
    _assembly(
        "xnnpack-4x8-lane-a7", "XNNPACK 4x8 vmlal by element, for the A7",
        "google/XNNPACK, src/qs8-gemm/4x8-aarch32-neon-mlal-lane-cortex-a7.S.in, commit 01a345b5", "aarch32", 4, 8,
        aarch32.xnnpack_4x8_lane_cortex_a7(), 1, _fours(4, 8, False), 8,
    ),
    _assembly(
        "ruy-4x2", "ruy 4x2 vmull, vmlal, vpadal",
        "google/ruy, ruy/kernel_arm32.cc, Kernel8bitNeonOutOfOrder, commit 0fa8594f", "aarch32", 2, 4,
        aarch32.ruy_4x2(), 16, _added(2, 4, False), 8, packed=16,
    ),
    *(_bit_serial(state, unipolar) for state in ("aarch64", "aarch32") for unipolar in (True, False)),
)  # fmt: skip
