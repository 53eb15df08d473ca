"""Arm's A profile with NEON: Armv7 and Armv8, with and without dot products; exact kernels for 1 to 8 bits."""

from __future__ import annotations

from subbyte.compiler.target import Kernel, Packs, Signs, Target, TargetFacts, TargetFamily
from subbyte.targets.arm import (
    kernels_bit_serial,
    kernels_blocks,
    kernels_byte_sums,
    kernels_codes,
    kernels_depthwise,
    kernels_depthwise_sdot,
    kernels_dots,
    kernels_few_rows,
    kernels_floats,
    kernels_packed,
    kernels_pairs,
    kernels_partial_sums,
    kernels_planes,
    kernels_pools,
    kernels_products,
    kernels_sums,
)
from subbyte.targets.arm.processors import (
    AARCH64,
    BOARDS,
    NAMES,
    Processor,
    execution_state,
    native_processor,
    parse,
    processor_features,
)
from subbyte.targets.portable.kernels import KERNELS as PORTABLE_KERNELS

KERNELS: tuple[Kernel, ...] = (
    # *kernels_NAME.ROWS, one line for each module
    *kernels_bit_serial.ROWS,
    *kernels_blocks.ROWS,
    *kernels_byte_sums.ROWS,
    *kernels_depthwise.ROWS,
    *kernels_depthwise_sdot.ROWS,
    *kernels_codes.ROWS,
    *kernels_pools.ROWS,
    *kernels_planes.ROWS,
    *kernels_pairs.ROWS,
    *kernels_packed.ROWS,
    *kernels_floats.ROWS,
    *kernels_dots.ROWS,
    *kernels_few_rows.ROWS,
    *kernels_partial_sums.ROWS,
    *kernels_products.ROWS,
    *kernels_sums.ROWS,
)

# By pipeline: bytes of the first and second cache level (a core's share), bytes a cycle of a plain pass over tensors.
_CACHES = {
    "cortex-a7": (32 * 1024, 128 * 1024, 3),
    "cortex-a9": (32 * 1024, 256 * 1024, 4),
    "cortex-a53": (32 * 1024, 256 * 1024, 4),
    "cortex-a55": (32 * 1024, 256 * 1024, 8),
    "cortex-a72": (32 * 1024, 512 * 1024, 8),
    "neoverse-n1": (64 * 1024, 512 * 1024, 16),
    "neoverse-n2": (64 * 1024, 1024 * 1024, 16),
}
_SCALAR_SLOWDOWN = {"cortex-a7": 4.0, "cortex-a9": 3.0, "cortex-a53": 2.5, "cortex-a55": 2.5, "cortex-a72": 1.5}
_CYCLE = 1e-9  # seconds; a nominal 1 GHz, the same for all


def _target(processor: Processor) -> Target:
    available = processor.features | {processor.state}  # the state is for the choice of rows alone
    own = tuple(kernel for kernel in KERNELS if kernel.features <= available)
    l1_bytes, l2_bytes, bytes_per_cycle = _CACHES[processor.core]
    facts = TargetFacts(
        vector_bits=128,
        signs=Signs.SIGNED_BYTES,
        l1_bytes=l1_bytes,
        l2_bytes=l2_bytes,
        bytes_per_second=bytes_per_cycle / _CYCLE,
        packs_activations=Packs.FOR_SPEED,
        threshold_steps=0,  # vectors of float32 are faster
        core=processor.core,
        scalar_slowdown=_SCALAR_SLOWDOWN.get(processor.core, 1.0),
    )
    wide = processor.state == AARCH64
    return Target(
        name=processor.name,
        family="arm",
        features=processor.features,
        facts=facts,
        compiler_flags=processor.compiler_flags,
        zig_target="aarch64-linux-gnu" if wide else "arm-linux-gnueabihf",
        zig_cpu=processor.zig_cpu,
        kernels=(*own, *PORTABLE_KERNELS),
        runs_here=execution_state() == processor.state and processor.features <= processor_features(),
        programs_may_run_here=processor.features <= processor_features(state=processor.state),
        emulator=processor.emulator,
    )


def _resolve(name: str) -> Target | None:
    board = next((board for board in BOARDS if board.name == name), None)
    processor = parse(name if board is None else board.target)
    return None if processor is None else _target(processor)


def _native() -> Target | None:
    processor = native_processor()
    return None if processor is None else _target(processor)


TARGET = TargetFamily("arm", NAMES, _resolve, _native, KERNELS, BOARDS)
