"""What is measured: loops of peers, layers in each precision and with each kernel, whole models. All JSON-able."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arm.cores import Core
from benchmarks.arm.disassembly import Instruction, blocks, disassemble, histogram
from benchmarks.arm.estimate import Cost, cost_of
from benchmarks.arm.peers import FOLDER, Peer
from benchmarks.arm.programs import build_program
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.toolchain.counted_steps import StepCounts, count_steps
from subbyte.compiler.toolchain.instruction_counts import EmulationError, count
from subbyte.compiler.tuning import TuningRecord

_DEPTH = 512
_MOST_FREQUENT = 12
_SHOWN, _WORTH_SHOWING = 3, 0.05  # of a step's blocks: so many, each with at least this share


def measure_peer(peer: Peer, core: Core) -> dict[str, Any]:
    """The loop of `peer`, built for `core`, per multiply-accumulate.

    Raises: EmulationError: its sums are wrong. ToolError.
    """
    target = find_target(core.target)
    compiler = find_compiler(target, libc="musl")
    activations, weights = peer.operands(_DEPTH, np.random.default_rng(1))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, made, program = folder / f"peer{peer.suffix}", folder / "peer.o", folder / "peer"
        source.write_text(peer.text)
        compile_c(compiler, (*compiler.flags_for(target), *peer.defines, "-c"), [source], made)
        flags = (*compiler.flags_for(target, baseline=True), "-std=gnu99", "-static")
        compile_c(compiler, flags, [made, FOLDER / "main.c"], program)
        files = [folder / name for name in ("activations", "weights", "sums")]
        files[0].write_bytes(peer.pack_activations(activations).tobytes())
        files[1].write_bytes(peer.pack_weights(weights).tobytes())
        arguments = [*map(str, files), str(peer.sums_bytes), str(_DEPTH)]
        sections = count(program, core.emulator, arguments, mark="step_begins")
        if not np.array_equal(peer.sums(files[2].read_bytes()), activations @ weights.T):
            raise EmulationError(f"the sums of {peer.name} are wrong on {core.target}")
        found = blocks(sections[1], disassemble(program, core.triple, core.attributes))
    loop = cost_of([max((b for b in found if b.loops), key=lambda b: b.executions)], core.pipeline)
    macs = peer.rows * peer.columns * _DEPTH
    return {
        "peer": peer.name,
        "title": peer.title,
        "source": peer.source,
        "bits": peer.bits,
        "core": core.target,
        "model": core.model,
        "macs_per_iteration": macs // loop.blocks[0].block.executions,
        "inner": _per_mac(loop, macs),
    }


def measure_layer(model: Path, core: Core, kernels: bool = True) -> Iterator[dict[str, Any]]:
    """The convolution of a model of one: with the kernel that the costs choose, then with every other that can.

    Raises: SubbyteError; EmulationError; ToolError.
    """
    chosen = _sums_of(model, core, ())
    yield {**_step_data(*chosen, core), "chosen": True}
    if not kernels:
        return
    target = find_target(core.target)
    for kernel in target.kernels_for(QConv):
        if kernel.symbol == chosen[0].kernel or kernel.family == "portable":
            continue
        try:
            found = _sums_of(model, core, (TuningRecord(chosen[0].sources[0], kernel.symbol),))
        except UnsupportedError:  # it does not accept this layer
            continue
        if found[0].kernel == kernel.symbol:
            yield {**_step_data(*found, core), "chosen": False}


def measure_model(model: Path, core: Core) -> dict[str, Any]:
    """One inference, step by step.  Raises: as `measure_layer`."""
    with tempfile.TemporaryDirectory() as temporary:
        program = build_program(model, core, Path(temporary) / "bundle", weights="file")
        steps = count_steps(program, core.emulator)
        listing = disassemble(program.path, core.triple, core.attributes)
    costs = [cost_of(blocks(step.counts, listing), core.pipeline) for step in steps]
    cycles = [cost.cycles for cost in costs]
    return {
        "core": core.target,
        "model": core.model,
        "macs": sum(step.macs for step in steps),
        "instructions": sum(cost.instructions for cost in costs),
        "loads": sum(cost.loads for cost in costs),
        "stores": sum(cost.stores for cost in costs),
        "cycles": None if None in cycles else sum(each for each in cycles if each is not None),
        "steps": [
            {
                "name": step.name,
                "kernel": step.kernel,
                "macs": step.macs,
                "instructions": cost.instructions,
                "cycles": cost.cycles,
            }
            for step, cost in zip(steps, costs, strict=True)
        ],
    }


def _sums_of(model: Path, core: Core, tuning: tuple[TuningRecord, ...]) -> tuple[StepCounts, Mapping[int, Instruction]]:
    """The one step that multiplies, and the program's listing."""
    with tempfile.TemporaryDirectory() as temporary:
        program = build_program(model, core, Path(temporary) / "bundle", tuning)
        (step,) = (step for step in count_steps(program, core.emulator) if step.macs)
        return step, disassemble(program.path, core.triple, core.attributes)


def _step_data(step: StepCounts, listing: Mapping[int, Instruction], core: Core) -> dict[str, Any]:
    found = blocks(step.counts, listing)
    cost = cost_of(found, core.pipeline)
    return {
        "core": core.target,
        "model": core.model,
        "kernel": step.kernel,
        "macs": step.macs,
        "all": _per_mac(cost, step.macs),
        "inner": _per_mac(cost.inner, step.macs),
        "loads": cost.loads / step.macs,
        "stores": cost.stores / step.macs,
        "mnemonics": dict(list(histogram(found).items())[:_MOST_FREQUENT]),
        "hottest": [each.text for each in cost.hottest.block.instructions],
    }


def _per_mac(cost: Cost, macs: int) -> dict[str, float | None]:
    """bound: cycles that the execution units need at least."""
    cycles, bound = cost.cycles, cost.bound
    return {
        "instructions": cost.instructions / macs,
        "cycles": None if cycles is None else cycles / macs,
        "bound": None if bound is None else bound / macs,
    }


def show_steps(model: Path, core: Core) -> str:
    """Each step's instructions and cycles, and the code of the blocks that cost most of them.  Raises: as above."""
    with tempfile.TemporaryDirectory() as temporary:
        program = build_program(model, core, Path(temporary) / "bundle", weights="file")
        steps = count_steps(program, core.emulator)
        listing = disassemble(program.path, core.triple, core.attributes)
    lines = [f"{core.target}, llvm-mca's {core.model or 'nothing'}"]
    for step in steps:
        cost = cost_of(blocks(step.counts, listing), core.pipeline)
        cycles = "" if cost.cycles is None else f", {cost.cycles:.0f} cycles, at least {cost.bound:.0f}"
        per_mac = f" ({cost.instructions / step.macs:.4f} a multiply-accumulate)" if step.macs else ""
        lines += ["", f"{step.name} {step.kernel}: {cost.instructions} instructions{per_mac}{cycles}"]
        for each in sorted(cost.blocks, key=lambda each: -each.total)[:_SHOWN]:
            if each.total < _WORTH_SHOWING * sum(other.total for other in cost.blocks):
                continue
            one = "" if each.cycles is None else f", {each.cycles:.1f} cycles, at least {each.bound:.1f}"
            kind = "loop" if each.block.loops else "block"
            length = len(each.block.instructions)
            lines.append(f"  {kind} of {each.block.symbol}, {each.block.executions} times {length} instructions{one}")
            lines += [f"    {instruction.text}" for instruction in each.block.instructions]
    return "\n".join(lines)
