"""Every row of every kernel table computes what the interpreter says, bit for bit, on every case that it accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.target import Kernel, Storage, Target, families, find_target
from tests.conformance import (  # noqa: F401  (each registers its cases)
    cases_blocks,
    cases_codebooks,
    cases_codes,
    cases_dots,
    cases_dynamic,
    cases_few_rows,
    cases_floats,
    cases_functions,
    cases_indexing,
    cases_logic,
    cases_lookup_sums,
    cases_low_bits,
    cases_movement,
    cases_normalization,
    cases_packed,
    cases_partial_sums,
    cases_planes,
    cases_products,
    cases_short_sums,
    cases_stored,
    cases_sums,
    cases_thresholds,
    cases_windows,
)
from tests.conformance.cases import Case, all_cases
from tests.conformance.cases_stored import packed_forms
from tests.conformance.harness import Library, Prepared, Run
from tests.conformance.machines import lacking

Arrays = tuple[NDArray[Any], ...]


Table = tuple[Target, type[Node], tuple[Kernel, ...]]
ROW_BY_ROW = {"arm"}  # families whose rows are compiled one by one: an emulator takes its time


def _tables() -> list[Table]:
    """The rows of every family by operation, each row with the first target of each architecture that has it."""
    tables: list[Table] = []
    for family in families().values():
        own, tried = {id(kernel) for kernel in family.kernels}, set()
        for name in family.names:
            target = family.resolve(name)
            assert target is not None, f"'{family.name}' does not know its own target '{name}'"
            architecture = target.zig_target.partition("-")[0]
            rows = [row for row in target.kernels if id(row) in own and (id(row), architecture) not in tried]
            tried |= {(id(row), architecture) for row in rows}
            if family.name in ROW_BY_ROW:
                tables += [(target, row.op, (row,)) for row in rows]
            else:
                ops = dict.fromkeys(row.op for row in rows)
                tables += [(target, op, tuple(row for row in rows if row.op is op)) for op in ops]
        missed = own - {row for row, _ in tried}
        assert not missed, f"{len(missed)} kernels of '{family.name}' belong to no target that it names"
    return tables


def _portable_on_arm() -> list[Table]:
    """The rows of `portable`, compiled for both of Arm's instruction sets."""
    portable = find_target("portable")
    return [
        (find_target(name), op, tuple(portable.kernels_for(op)))
        for name in ("armv7-a+neon", "armv8-a")
        for op in dict.fromkeys(row.op for row in portable.kernels)
    ]


def _id(part: Target | type[Node] | tuple[Kernel, ...]) -> str:
    if isinstance(part, tuple):
        return part[0].symbol if len(part) == 1 else "rows"
    return part.name if isinstance(part, Target) else part.__name__


@cache
def _cases() -> dict[type[Node], list[Case]]:
    """Every case by its operation."""
    found: dict[type[Node], list[Case]] = {}
    for case in all_cases():
        found.setdefault(type(case.node(False)), []).append(case)
    return found


@cache
def _cases_of(op: type[Node]) -> list[tuple[str, Node, Case]]:
    """The cases of an operation, row-major and channels-last."""
    return [
        (f"{case.name} {how}", case.node(last), case)
        for case in _cases().get(op, [])
        for how, last in (("row-major", False), ("channels-last", True))
    ]


STORED = {Storage.CHANNELS_LAST: ("channels-last",), Storage.ROW_MAJOR: ("row-major",)}


PACKED_EVERY = 3  # rows share the code that reads and writes packed codes, so they take turns with their forms


def _prepared(kernel: Kernel) -> Iterator[Prepared]:
    """The cases that the row accepts, stored as it asks for; every third, another one for each row, packed as well."""
    stored = STORED.get(kernel.storage, ("row-major", "channels-last"))
    turn = crc32(kernel.symbol.encode())
    for number, (name, op, case) in enumerate(_cases_of(kernel.op)):
        if name.endswith(stored):
            packed = () if (number // 2 + turn) % PACKED_EVERY else packed_forms(op)
            for how, form in (("", op), *packed):
                if kernel.accepts(form):
                    yield Prepared(f"{kernel.symbol}: {name}{how}", kernel, form, case.arrays(form))


EXTREME = ("lowest", "highest", "extremes")  # in names of cases whose sums are the largest that there are


def _some(calls: Sequence[Prepared], target: Target, most: int) -> list[Prepared]:
    """At most so many of the extreme ones and of the others, another choice for each row and each target."""
    turn = crc32(f"{target.name} {calls[0].kernel.symbol}".encode())
    extreme = [call for call in calls if any(word in call.name for word in EXTREME)]
    taken = set()
    for kind in (extreme, [call for call in calls if call not in extreme]):
        step = max(-(-len(kind) // most), 1)
        taken |= {id(call) for number, call in enumerate(kind) if (number + turn) % step == 0}
    return [call for call in calls if id(call) in taken]


@pytest.mark.parametrize(("target", "op", "rows"), [*_tables(), *_portable_on_arm()], ids=_id)
def test_kernels_equal_the_interpreter(
    target: Target,
    op: type[Node],
    rows: tuple[Kernel, ...],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    optional_capability: Callable[[str, str], None],
) -> None:
    """Under an emulator, short of a sweep: some cases of each row, and the portable rows in their general form."""
    if lack := lacking(target):
        optional_capability(*lack)
    calls = {row.symbol: list(_prepared(row)) for row in rows}
    untried = [symbol for symbol, accepted in calls.items() if not accepted]
    assert not untried, f"no case reaches {', '.join(untried)}"
    brief = not target.runs_here and not request.config.getoption("--sweep")
    foreign = brief and rows[0].family != "portable"
    flat = [call for accepted in calls.values() for call in (_some(accepted, target, 12) if foreign else accepted)]
    library = Library(target, flat, tmp_path, general=brief and not foreign)
    wrong = _wrong(flat, library)
    assert not wrong, _listed(wrong, len(flat))


ROUNDING = (
    "codebooks.h",
    "float_elementwise.h",
    "float_sums.h",
    "normalization.h",
    "pool.h",
    "quantization.h",
    "quantized_binary.h",
    "reduce.h",
    "resize.h",
    "softmax.h",
)
"""Headers of `portable` whose kernels compute in float32: what contraction to FMAs would change."""


@pytest.mark.parametrize("header", ROUNDING)
def test_flags_of_users_change_no_result(header: str, tmp_path: Path) -> None:
    portable = find_target("portable")
    rows = [kernel for kernel in portable.kernels if kernel.header.name == header]
    calls = [prepared for kernel in rows for prepared in _prepared(kernel)]
    assert calls, f"no case reaches {header}"
    wrong = _wrong(calls, Library(portable, calls, tmp_path, flags=("-march=native", "-ffp-contract=fast")))
    assert not wrong, _listed(wrong, len(calls))


def _wrong(calls: Sequence[Prepared], library: Library) -> list[str]:
    """The calls whose results differ from what the interpreter computes, each with what differs."""
    expected: dict[Node, Arrays] = {}
    wrong = []
    runs = [(how, run) for prepared in calls for how, run in _runs(prepared)]
    for (how, run), answer in zip(runs, library.answers([run for _, run in runs]), strict=False):
        prepared = run.prepared
        if prepared.op not in expected:
            expected[prepared.op] = evaluate_node(prepared.op, prepared.operands)
        difference = answer.fault or _difference(answer.results, expected[prepared.op])
        wrong += [f"{prepared.name}, {how}: {difference}"] if difference else []
    return wrong


def _listed(wrong: Sequence[str], calls: int) -> str:
    return f"{len(wrong)} results of {calls} calls differ:\n" + "\n".join(wrong[:40])


def _runs(prepared: Prepared) -> Iterator[tuple[str, Run]]:
    """The call in one go, in single tiles from the last to the first, and with its result in place of an operand."""
    tiles = prepared.call.tiles
    assert tiles >= 1, f"{prepared.name} has {tiles} tiles"
    yield "all tiles", Run(prepared, [(0, tiles)])
    if tiles > 1:
        bounds = np.unique(np.linspace(0, tiles, min(tiles, 16) + 1).astype(int)).tolist()
        yield "tiles apart", Run(prepared, [*pairwise(bounds)][::-1])
    for index in prepared.kernel.in_place:
        operand = prepared.op.operands[index]
        if operand.type.bytes == prepared.op.types[0].bytes and not isinstance(operand.node, Constant):
            yield f"in place of operand {index}", Run(prepared, [(0, tiles)], shared=index)


def _difference(results: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> str:
    """What differs, in words; "" where every bit is equal, but for which NaN a NaN is."""
    for number, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        if wanted.dtype.kind == "f":
            bits = f"u{wanted.itemsize}"
            equal = result.view(bits) == np.asarray(wanted, order="C").view(bits)
            same = equal | (np.isnan(result) & np.isnan(wanted))
        else:
            same = result == wanted
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            count = np.count_nonzero(~same)
            return f"{count} of {wanted.size} of result {number}, first {at}: {result[at]} for {wanted[at]}"
    return ""
