"""Counts under emulation, llvm-mca's cycles, the peers' loops, and what is made of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.arm import mca
from benchmarks.arm.__main__ import app
from benchmarks.arm.cores import CORES, Core
from benchmarks.arm.disassembly import Block, Instruction, blocks, histogram
from benchmarks.arm.disassembly import parse as parse_listing
from benchmarks.arm.estimate import cost_of
from benchmarks.arm.measure import measure_layer, measure_model, measure_peer, show_steps
from benchmarks.arm.peers import PEERS
from benchmarks.arm.table import as_markdown
from benchmarks.arm.verdicts import verdicts
from benchmarks.suite.verdict import BELOW, FLOOR, GOAL
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.toolchain.instruction_counts import Counts, EmulationError, count
from subbyte.compiler.toolchain.instruction_counts import parse as parse_counts

Lacking = Callable[[str, str], NoReturn]
LISTING = """
program:  file format elf64-littleaarch64

0000000000001000 <sum>:
    1000:       mov w8, wzr
    1004:       add     w8, w8, w0              // the sum
    1008:       subs    w0, w0, #0x1
    100c:       b.ne    0x1004 <sum+0x4>
    1010:       ldr     w1, [x2, #0x8]
    1014:       str     w1, [x2]
    1018:       ret
"""
REPORT = """
[0] Code Region - block0

Iterations:        100
Instructions:      300
Total Cycles:      412
Total uOps:        300

Dispatch Width:    2
uOps Per Cycle:    0.73
IPC:               0.73
Block RThroughput: 1.5


[1] Code Region - block7

Iterations:        100
Instructions:      100
Total Cycles:      103
Total uOps:        100

Dispatch Width:    2
uOps Per Cycle:    0.97
IPC:               0.97
Block RThroughput: 0.5
"""
# Three turns of a loop of four instructions for each of r0's units, as an assembler of either state reads it.
PROGRAM = """
#include <stdlib.h>
__attribute__((noinline)) void step_begins(void) { __asm__ volatile(""); }
__attribute__((noinline)) void turn(unsigned times) {
    __asm__ volatile("1: nop\\n nop\\n subs %0, %0, #1\\n bne 1b" : "+r"(times) : : "cc");
}
int main(int count, char** values) {
    for (int i = 1; i < count; ++i) {
        step_begins();
        turn((unsigned)strtoul(values[i], NULL, 10));
    }
    step_begins();
    return 0;
}
"""


@pytest.fixture
def tools(optional_capability: Lacking) -> None:
    """Skips the test where the emulators, the cross compiler or llvm's tools are missing."""
    for name in ("qemu-aarch64", "qemu-arm", "cc"):
        if shutil.which(name) is None:
            optional_capability("pipeline models", f"there is no `{name}`")
    for name in ("llvm-mca", "llvm-objdump"):
        if all(shutil.which(name + version) is None for version in ("-19", "-20", "-21", "-18", "")):
            optional_capability("pipeline models", f"there is no `{name}`")


def built(core: Core, text: str, folder: Path) -> Path:
    source, program = folder / "program.c", folder / "program"
    source.write_text(text)
    target = find_target(core.target)
    compiler = find_compiler(target, libc="musl")
    compile_c(compiler, (*compiler.flags_for(target, baseline=True), "-std=gnu99", "-static"), [source], program)
    return program


# Counts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("core", [CORES["cortex-a53"], CORES["cortex-a7"]], ids=lambda core: core.target)
def test_the_plugin_counts_a_loop_exactly(core: Core, tmp_path: Path) -> None:
    program = built(core, PROGRAM, tmp_path)
    before, first, second, _ = count(program, core.emulator, ["10001", "70001"], mark="step_begins")
    for section, times in ((first, 10001), (second, 70001)):
        inside = {a: n for a, n in section.executions.items() if section.symbols[a] == "turn" and n > 1}
        assert list(inside.values()) == [times] * 4
        assert sorted(inside) == list(range(min(inside), min(inside) + 16, 4))
    assert "turn" not in before.by_symbol()
    assert second.total - first.total == 4 * 60000  # both have five digits for strtoul to read


@pytest.mark.usefixtures("tools")
def test_a_program_that_fails_is_not_counted(tmp_path: Path) -> None:
    core = CORES["cortex-a53"]
    program = built(core, "int main(void) { return 3; }", tmp_path)
    with pytest.raises(EmulationError, match="ended with 3"):
        count(program, core.emulator)


def test_sections_end_at_marks() -> None:
    found = parse_counts("10 3 main\nmark\n10 1 main\n2f 7 ?\nend\n")
    assert found == [
        Counts({0x10: 3}, {0x10: "main"}),
        Counts({0x10: 1, 0x2F: 7}, {0x10: "main", 0x2F: "?"}),
    ]
    assert (found[1].total, found[1].by_symbol()) == (8, {"?": 7, "main": 1})


def test_counts_that_were_cut_off_are_refused() -> None:
    with pytest.raises(EmulationError, match="no line 'end'"):
        parse_counts("10 3 main\n")


# Blocks ---------------------------------------------------------------------------------------------------------------


def _sum_of(times: int) -> list[Block]:
    executions = {0x1000: 1, 0x1004: times, 0x1008: times, 0x100C: times, 0x1010: 1, 0x1014: 1, 0x1018: 1}
    return blocks(Counts(executions, dict.fromkeys(executions, "sum")), parse_listing(LISTING))


def test_blocks_end_at_branches_and_begin_at_their_targets() -> None:
    found = _sum_of(9)
    assert [(len(block.instructions), block.executions, block.loops) for block in found] == [
        (1, 1, False),
        (3, 9, True),
        (3, 1, False),
    ]
    assert [each.text for each in found[1].instructions] == ["add w8, w8, w0", "subs w0, w0, #0x1", "b.ne elsewhere"]
    assert histogram(found) == {"add": 9, "subs": 9, "b.ne": 9, "mov": 1, "ldr": 1, "str": 1, "ret": 1}


def test_a_loop_of_one_turn_is_still_a_block_of_its_own() -> None:
    assert [block.loops for block in _sum_of(1)] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "ends"),
    [("b elsewhere", 1), ("tbnz w0, #3, elsewhere", 1), ("pop {r4, pc}", 1), ("mov pc, lr", 1), ("bl elsewhere", 1),
     ("bic v0.16b, v1.16b, v2.16b", 0), ("pop {r4, r5}", 0), ("mov r0, pc", 0), ("bfi w0, w1, #2, #3", 0)],
)  # fmt: skip
def test_what_ends_a_block(text: str, ends: int) -> None:
    assert Instruction(0, text).ends_block == bool(ends)


# Cycles ---------------------------------------------------------------------------------------------------------------


def test_the_summaries_of_llvm_mca_are_read() -> None:
    assert mca.parse(REPORT) == {0: mca.Cycles(4.12, 1.5, 3), 7: mca.Cycles(1.03, 0.5, 1)}


@pytest.mark.usefixtures("tools")
def test_multiplications_take_a_cycle_each_on_the_a72() -> None:
    lines = [f"smull v{n}.8h, v30.8b, v31.8b" for n in range(8)]
    (found,) = mca.cycles(mca.Model("cortex-a72", "aarch64-linux-gnu"), [lines])
    assert found is not None
    assert found.bound == 8
    assert found.simulated == pytest.approx(8, abs=0.2)


@pytest.mark.usefixtures("tools")
def test_an_instruction_that_the_model_does_not_know_counts_as_one_cycle() -> None:
    block = Block((Instruction(0, "add r0, r1, r2"), Instruction(4, "push {r4, lr}")), 10, "f")
    known = Block(block.instructions[:1], 10, "f")
    model = mca.Model("cortex-a9", "armv7a-linux-gnueabihf")
    with_push, without = (cost_of([each], model).cycles for each in (block, known))
    assert with_push is not None
    assert without is not None
    assert with_push == pytest.approx(without + 10)


@pytest.mark.usefixtures("tools")
def test_a_core_without_a_model_is_refused_by_name() -> None:
    from benchmarks.arm.disassembly import ToolError

    with pytest.raises(ToolError, match="'cortex-a7'"):
        mca.cycles(mca.Model("cortex-a7", "armv7a-linux-gnueabihf"), [["nop"]])


def test_the_cost_of_a_step_is_that_of_all_its_blocks() -> None:
    cost = cost_of(_sum_of(9), None)
    assert (cost.instructions, cost.loads, cost.stores, cost.cycles) == (31, 1, 1, None)
    assert cost.inner.instructions == 27
    assert cost.hottest.block.loops


# What is measured -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_peers_loops_compute_their_sums(peer: Any) -> None:
    fitting = [core for core in CORES.values() if peer.state == core.processor.state]
    core = next(core for core in fitting if peer.features <= core.processor.features and core.model)
    found = measure_peer(peer, core)  # refuses wrong sums
    assert 0 < found["inner"]["bound"] <= found["inner"]["cycles"] * 1.01
    assert found["macs_per_iteration"] % (peer.rows * peer.columns) == 0


@pytest.mark.usefixtures("tools")
def test_wrong_sums_of_a_peer_are_refused() -> None:
    from dataclasses import replace

    peer = PEERS[0]
    broken = replace(peer, text=peer.text.replace("smlal", "smlsl", 1))
    with pytest.raises(EmulationError, match="wrong"):
        measure_peer(broken, CORES["cortex-a53"])


def _small_convolution(folder: Path) -> Path:
    import onnx

    from benchmarks.topologies.builder import Builder
    from benchmarks.topologies.precision import PRECISIONS

    builder = Builder("small", PRECISIONS["w2a2"], 1)
    values = np.abs(builder.random.normal(size=(1, 16, 6, 6))).astype(np.float32)
    builder.output(builder.conv(builder.quantized(builder.input("input", values)), 16, 3))
    path = folder / "small.onnx"
    onnx.save(builder.model(), path)
    return path


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(("name", "kernels"), [("cortex-a53", True), ("cortex-a7", False)])
def test_a_layer_is_measured_with_each_kernel(name: str, kernels: bool, tmp_path: Path) -> None:
    core = CORES[name]
    rows = list(measure_layer(_small_convolution(tmp_path), core, kernels))
    assert [row["chosen"] for row in rows] == [True] + [False] * (len(rows) - 1)
    assert len({row["kernel"] for row in rows}) == len(rows)
    assert (len(rows) > 1) == kernels
    for row in rows:
        assert row["macs"] == 16 * 16 * 9 * 36
        assert 0 < row["inner"]["instructions"] <= row["all"]["instructions"] < 5
        if core.model is None:
            assert row["all"]["cycles"] is row["all"]["bound"] is None
        else:
            assert 0 < row["all"]["bound"] < 2 * row["all"]["cycles"]


@pytest.mark.usefixtures("tools")
def test_a_model_is_the_sum_of_its_steps(tmp_path: Path) -> None:
    model = _small_convolution(tmp_path)
    found = measure_model(model, CORES["cortex-a53"])
    assert found["macs"] == 16 * 16 * 9 * 36
    for figure in ("instructions", "cycles"):
        assert sum(step[figure] for step in found["steps"]) == pytest.approx(found[figure])
    assert "QConv" in show_steps(model, CORES["cortex-a53"])


def test_a_core_is_one_that_subbyte_compiles_for() -> None:
    for core in CORES.values():
        assert find_target(core.target).name == core.target
    with pytest.raises(UnsupportedError):
        _ = Core("cortex-a99", None).processor


# Tables ---------------------------------------------------------------------------------------------------------------


def _figures(cycles: float | None, instructions: float = 1.0) -> dict[str, Any]:
    return {"instructions": instructions, "cycles": cycles, "bound": None if cycles is None else cycles / 2}


def _row(precision: str, core: str, cycles: float | None, chosen: bool = True, kernel: str = "sums") -> dict[str, Any]:
    layer, model = "conv3x3_256_once", None if cycles is None else core
    about = {"layer": layer, "precision": precision, "core": core, "model": model, "chosen": chosen}
    return about | {"kernel": kernel, "all": _figures(cycles), "inner": _figures(cycles)}


def _peer(bits: int, core: str, cycles: float) -> dict[str, Any]:
    about = {"peer": f"p{bits}", "title": f"peer of {bits} bits", "source": "file, commit", "bits": bits, "core": core}
    return about | {"model": core, "inner": _figures(cycles)}


def _data() -> dict[str, Any]:
    layers = [
        _row("w8a8", "cortex-a53", 0.30),
        _row("w2a2", "cortex-a53", 0.10),
        _row("w2a2", "cortex-a53", 0.14, chosen=False, kernel="subbyte_arm_sums_bit_serial"),
        _row("w1a1", "cortex-a53", 0.20),
    ]
    models = [
        {"name": name, "title": name, "core": "cortex-a53", "macs": 10**9, "instructions": n, "cycles": 2.0 * n}
        for name, n in (("resnet18-w8a8", 10**9), ("resnet18-w2a2", 4 * 10**8))
    ]
    peers = [_peer(8, "cortex-a53", 0.29), _peer(2, "cortex-a53", 0.18)]
    return {"programs": "programs", "peers": peers, "layers": layers, "models": models}


def test_ratios_are_judged_beside_floor_and_goal() -> None:
    found = {(each.what, each.beside): (round(each.ratio, 2), each.word) for each in verdicts(_data())}
    assert found == {
        ("W2A2", "own W8A8"): (3.0, GOAL),
        ("W1A1", "own W8A8"): (1.5, BELOW),
        ("W8A8, loop", "peer of 8 bits"): (0.97, FLOOR),
        ("W2A2", "subbyte_arm_sums_bit_serial"): (1.4, FLOOR),
        ("W2A2", "loop of peer of 2 bits"): (1.8, GOAL),
        ("ResNet18 W2A2", "own W8A8"): (2.5, FLOOR),
    }


def test_the_table_says_what_the_rows_say() -> None:
    text = as_markdown(_data())
    assert "| W2A2 | `sums` | - | - | **0.100 / 1.000** | - | - | - | - |" in text
    assert "| W2A2 | `sums_bit_serial` | - | - | 0.140 (0.070) | - | - | - | - |" in text
    assert "| W8A8 | loop of peer of 8 bits | - | - | 0.290 / 1.000 | - | - | - | - |" in text
    assert "| resnet18-w2a2 | 1000.0 | 400.0; 800.0 |" in text


def test_what_was_measured_is_printed_again(tmp_path: Path) -> None:
    file = tmp_path / "arm.json"
    file.write_text(json.dumps(_data()))
    done = CliRunner().invoke(app, ["all", "--render", "--json", str(file)])
    assert done.exit_code == 0
    assert "**3.00**" in done.output


@pytest.mark.parametrize("words", [["everything"], ["layers", "--core", "z80"], ["steps"]])
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    assert CliRunner().invoke(app, words).exit_code == 2
