"""x86-64 with AVX2 and more: exact int8 kernels for AVX2, AVX-VNNI, AVX-512 and AVX512-VNNI."""

from __future__ import annotations

from subbyte.compiler.target import Packs, Signs, Target, TargetFacts, TargetFamily
from subbyte.targets.portable.kernels import KERNELS as PORTABLE_KERNELS
from subbyte.targets.x86 import (
    kernels_blocks,
    kernels_codes,
    kernels_columns,
    kernels_depthwise,
    kernels_dynamic,
    kernels_float_blocks,
    kernels_float_sums,
    kernels_floats,
    kernels_groups,
    kernels_lookup_sums,
    kernels_normalization,
    kernels_packed,
    kernels_planes,
    kernels_pools,
    kernels_products,
    kernels_resize,
    kernels_short_sums,
    kernels_softmax,
    kernels_sums,
    kernels_tables,
)
from subbyte.targets.x86.levels import NAMES, Level, parse, processor_features

KERNELS = (
    *kernels_columns.ROWS,
    *kernels_depthwise.ROWS,
    *kernels_groups.ROWS,
    *kernels_lookup_sums.ROWS,
    *kernels_sums.ROWS,
    *kernels_short_sums.ROWS,
    *kernels_products.ROWS,
    *kernels_blocks.ROWS,
    *kernels_float_blocks.ROWS,
    *kernels_dynamic.ROWS,
    *kernels_pools.ROWS,
    *kernels_resize.ROWS,
    *kernels_codes.ROWS,
    *kernels_packed.ROWS,
    *kernels_planes.ROWS,
    *kernels_tables.ROWS,
    *kernels_softmax.ROWS,
    *kernels_floats.ROWS,
    *kernels_float_sums.ROWS,
    *kernels_normalization.ROWS,
)


def _target(level: Level) -> Target:
    available = level.features
    own = tuple(kernel for kernel in KERNELS if kernel.features <= available)
    facts = TargetFacts(
        vector_bits=512 if level.base == "x86-64-v4" else 256,
        l1_bytes=32 * 1024,
        l2_bytes=512 * 1024,
        signs=Signs.UNSIGNED,
        bytes_per_second=6.4e10,
        packs_activations=Packs.FOR_SPEED,
        threshold_steps=0,  # vectors of float32 are faster
    )
    return Target(
        name=level.name,
        family="x86",
        features=available,
        facts=facts,
        compiler_flags=level.compiler_flags,
        zig_target="x86_64-linux-gnu",
        zig_cpu=level.zig_cpu,
        kernels=(*own, *PORTABLE_KERNELS),
        runs_here=available <= processor_features(),
    )


def _resolve(name: str) -> Target | None:
    level = parse(name)
    return None if level is None else _target(level)


def _native() -> Target | None:
    found = processor_features()
    for name in reversed(NAMES):
        level = parse(name)
        if level is not None and level.features <= found:
            return _target(level)
    return None


TARGET = TargetFamily("x86", NAMES, _resolve, _native, KERNELS)
