"""Knobs of kernels and tuning records: what may be chosen, what is refused, and that no choice changes a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import UINT8
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Input, Node
from subbyte.compiler.ir.qops import Clamp
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import Call, Integer, Kernel, KernelKnob, Storage, Target, TargetFacts
from subbyte.compiler.tuning import TuningRecord, read_tuning, setting_of, write_tuning
from subbyte.passes.lower_to_kernels import lower_to_kernels

STRIPE = KernelKnob("stripe", "elements of a tile", (1, 2, 4, 8))
DEPTH = KernelKnob("depth", "stripes at once", (1, 2))


def _call(op: Node, stripe: int = 1, depth: int = 1) -> Call:
    return Call("slow_clamp", (Integer(stripe), Integer(depth)))


def _kernel(symbol: str, cost: float, **fields: Any) -> Kernel:
    header = Path("toy") / "kernels" / f"{symbol}.h"
    return Kernel(Clamp, symbol, header, Storage.ANY, _call, lambda op, facts: cost, **fields)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """`quick_clamp` is the cheapest; `slow_clamp` has knobs of a product up to 8; `other_clamp` takes nothing."""
    header = tmp_path / "toy" / "kernels" / "clamp.h"
    header.parent.mkdir(parents=True)
    header.write_text("")
    rows = (
        _kernel("quick_clamp", 1.0),
        _kernel(
            "slow_clamp", 2.0, knobs=(STRIPE, DEPTH), fits=lambda op, s: s.get("stripe", 1) * s.get("depth", 1) <= 8
        ),
        _kernel("other_clamp", 3.0, accepts=lambda op: False),
    )
    rows = tuple(replace(row, header=header) for row in rows)
    return Target("toy", "toy", frozenset(), TargetFacts(), (), "x86_64-linux-gnu", "x86_64", rows)


@pytest.fixture
def graph() -> Graph:
    x = Input("x", TensorType(UINT8, (2, 3), QuantParams(np.float32(0.5), np.int64(0), 0, 255)))
    first = Clamp(x.out, 1, 200, sources=("/relu",)).out
    second = Clamp(first, 2, 100, sources=("/clip", "/relu6")).out
    return Graph("g", (x,), (Output("y", second),), Stage.QUANTIZED)


def calls(graph: Graph, target: Target, *records: TuningRecord) -> list[KernelCall]:
    lowered = lower_to_kernels(graph, replace(target, tuning=records))
    return [node for node in lowered.nodes() if isinstance(node, KernelCall)]


def test_without_records_the_cost_model_chooses(graph: Graph, target: Target) -> None:
    assert [(call.kernel, call.setting) for call in calls(graph, target)] == [("quick_clamp", ())] * 2


def test_a_record_decides_for_the_node_it_names(graph: Graph, target: Target) -> None:
    record = TuningRecord("/relu6", "slow_clamp", (("depth", 2), ("stripe", 4)))
    first, second = calls(graph, target, record)
    assert (first.kernel, first.setting) == ("quick_clamp", ())
    assert (second.kernel, second.setting) == ("slow_clamp", (("depth", 2), ("stripe", 4)))
    call = target.kernel(Clamp, "slow_clamp").call(second.op, **dict(second.setting))
    assert call.arguments == (Integer(4), Integer(2))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (TuningRecord("/relux", "slow_clamp"), r"no operation .* the nearest is '/relu'"),
        (TuningRecord("/relu", "fast_conv"), r"computed by Clamp, for which target 'toy' has no such kernel"),
        (TuningRecord("/relu", "other_clamp"), r"does not accept Clamp '/relu'"),
        (TuningRecord("/relu", "slow_clamp", (), "beef"), r"version beef .* Tune again"),
        (TuningRecord("/relu", "quick_clamp", (("stripe", 1),)), r"no knob 'stripe'; it has none"),
        (TuningRecord("/relu", "slow_clamp", (("width", 1),)), r"no knob 'width'; its knobs are stripe, depth"),
        (TuningRecord("/relu", "slow_clamp", (("stripe", 3),)), r"'stripe' .* is 3; its values are 1, 2, 4, 8"),
        (TuningRecord("/relu", "slow_clamp", (("depth", 2), ("stripe", 8))), r"Clamp '/relu' with depth 2, stripe 8"),
    ],
)
def test_what_does_not_apply_is_refused(graph: Graph, target: Target, record: TuningRecord, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        calls(graph, target, record)


def test_the_settings_of_an_operation_are_those_that_fit(graph: Graph, target: Target) -> None:
    op = next(node for node in graph.nodes() if isinstance(node, Clamp))
    found = list(target.kernel(Clamp, "slow_clamp").settings(op))
    assert found == [(("depth", d), ("stripe", s)) for s in (1, 2, 4, 8) for d in (1, 2) if s * d <= 8]
    assert list(target.kernel(Clamp, "quick_clamp").settings(op)) == [()]


def test_a_setting_has_a_text_form(graph: Graph, target: Target) -> None:
    lowered = lower_to_kernels(graph, replace(target, tuning=(TuningRecord("/relu", "slow_clamp", (("stripe", 2),)),)))
    text = print_graph(lowered)
    assert 'setting=[["stripe", 2]]' in text
    assert print_graph(parse_graph(text)) == text


def test_files_of_records_are_read_back(tmp_path: Path) -> None:
    records = (TuningRecord("/conv", "k", setting_of({"vectors": 4, "pixels": 6}), "1f"), TuningRecord("/fc", "g"))
    write_tuning(tmp_path / "records.json", records)
    assert read_tuning(tmp_path / "records.json") == records
    assert records[0].setting == (("pixels", 6), ("vectors", 4))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "no file of tuning records"),
        ('{"format": 2, "records": []}', "no file of tuning records"),
        ('{"format": 1, "records": [3]}', "an object is expected"),
        ('{"format": 1, "records": [{"node": "a"}]}', "no text under 'kernel'"),
        ('{"format": 1, "records": [{"node": "a", "kernel": "k", "knob": {}}]}', "has the key 'knob'"),
        ('{"format": 1, "records": [{"node": "a", "kernel": "k", "version": 1}]}', "a text is expected"),
        ('{"format": 1, "records": [{"node": "a", "kernel": "k", "knobs": {"p": true}}]}', "whole numbers"),
        ('{"format": 1, "records": [{"node": "a", "kernel": "k", "knobs": [1]}]}', "whole numbers"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "records.json").write_text(content)
    with pytest.raises(ModelError, match=said):
        read_tuning(tmp_path / "records.json")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_tuning(tmp_path / "records.json")
