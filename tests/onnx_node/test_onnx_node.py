"""ONNX's own node tests against target `portable`: compiled code equals the interpreter, and both what ONNX says."""

from __future__ import annotations

import ctypes
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.importer.functions import EXPANDED
from subbyte.compiler.importer.operator import converter_of
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import Options, lowered, quantized
from tests.onnx_node.cases import Array, NodeCase, all_cases
from tests.onnx_node.compiled import PORTABLE, build_library, printed, run_compiled
from tests.onnx_node.not_supported import NOT_SUPPORTED, entry_for

SUPPORTED = [name for name, case in all_cases().items() if entry_for(case) is None]


def graphs_of(case: NodeCase) -> tuple[Graph, Graph]:
    """What the model of a case means, and the same as kernel calls of `portable`."""
    graph = quantized(case.model(), Options(dims=case.dims(case.given())))
    return graph, lowered(graph, PORTABLE)


def c_name(name: str) -> str:
    """The C name of a case: identifiers of C99 are short."""
    return f"case_{SUPPORTED.index(name)}"


@pytest.fixture(scope="session")
def library(make_once: Callable[[str, Callable[[Path], None]], Path]) -> ctypes.CDLL:
    """All supported cases in one library; one that cannot be printed is left out, and its own test says so."""

    def make(path: Path) -> None:
        models = {}
        for name in SUPPORTED:
            try:
                models[c_name(name)] = printed(c_name(name), graphs_of(all_cases()[name])[1])
            except SubbyteError:
                continue
        with tempfile.TemporaryDirectory() as folder:
            build_library(models, path, Path(folder))

    return ctypes.CDLL(str(make_once("onnx_node.so", make)))


@pytest.mark.parametrize("name", SUPPORTED)
def test_portable_computes_what_onnx_says(name: str, library: ctypes.CDLL) -> None:
    case = all_cases()[name]
    graph, calls = graphs_of(case)
    given = case.given()
    inputs = {node.name: given[node.name].astype(node.type.dtype.numpy) for node in graph.inputs}
    meant = evaluate(graph, inputs)
    case.compare(meant)
    computed = run_compiled(library, c_name(name), calls, inputs)
    different = [output for output in meant if not same_bits(meant[output], computed[output])]
    assert not different, f"compiled code and interpreter differ in {different}"


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bits, whatever NaN a NaN is."""
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    bits = f"u{a.itemsize}"
    equal = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    return bool((equal | (np.isnan(a) & np.isnan(b))).all())


def test_operators_that_are_read_by_their_body_are_named() -> None:
    operators = {all_cases()[name].operator for name in SUPPORTED}
    assert {name for name in operators if converter_of("", name) is None} == set(EXPANDED)


def test_at_least_600_cases_are_supported() -> None:
    assert len(SUPPORTED) >= 600


@cache
def listed() -> dict[str, list[NodeCase]]:
    """The cases that are not supported, by reason."""
    found: dict[str, list[NodeCase]] = {entry.reason: [] for entry in NOT_SUPPORTED}
    for case in all_cases().values():
        entry = entry_for(case)
        if entry is not None:
            found[entry.reason].append(case)
    return found


def test_every_case_that_is_listed_is_refused() -> None:
    wrong = []
    for case in all_cases().values():
        entry = entry_for(case)
        if entry is None or not entry.refused:
            continue
        try:
            graphs_of(case)
        except SubbyteError:
            continue
        wrong.append(case.name)
    assert not wrong, f"listed as not supported, but compiled: {wrong}"


def test_every_entry_of_the_list_fits_a_case(record_property: Callable[[str, object], None]) -> None:
    for reason, cases in sorted(listed().items()):
        operators = Counter(case.operator for case in cases)
        counts = ", ".join(f"{operator} {count}" for operator, count in operators.most_common(8))
        row = {"cases": f"{len(cases):4d}", "reason": reason, "operators": counts}
        record_property("table: ONNX node tests that are not supported", row)
    unused = [entry.reason for entry in NOT_SUPPORTED if not any(map(entry.fits, all_cases().values()))]
    assert not unused, f"no case fits: {unused}"
