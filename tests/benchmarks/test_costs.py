"""`python -m benchmarks.costs`: every accepting kernel of a layer is timed, and the choice compared with the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.costs import Layer, Timed, alike, costs
from subbyte.compiler.pipeline import lowered
from subbyte.compiler.target import find_target


def test_regret_is_a_share_of_the_best() -> None:
    chosen, best = Timed("a", (), 1e-6, 3e-6), Timed("b", (("pixels", 6),), 2e-6, 2e-6)
    layer = Layer("QGemm", 2, 1000, (chosen, best))
    assert layer.best is best
    assert layer.regret == pytest.approx(0.5)
    assert best.name == "b pixels=6"


def test_layers_that_differ_in_their_constants_alone_are_timed_once(digits: Path) -> None:
    target = find_target("native")
    graph = lowered(digits / "digits_resnet_int8.onnx", target)
    groups = alike(graph)
    assert sum(map(len, groups)) > len(groups) > 1
    assert all(len({tuple(map(str, op.types)) for op in group}) == 1 for group in groups)


def test_every_layer_is_listed(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs(digits / "digits_mlp_int8.onnx", "native", 2, tmp_path / "costs.json")
    content = json.loads((tmp_path / "costs.json").read_text())
    assert content["target"] == find_target("native").name
    gemms = [layer for layer in content["layers"] if layer["layer"].startswith("QGemm")]
    assert len(gemms) == 3
    for layer in content["layers"]:
        assert layer["regret"] >= 0
        assert all(way["us"] > 0 and way["cost_us"] > 0 for way in layer["ways"])
    assert "regret" in capsys.readouterr().out
