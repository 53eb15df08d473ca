"""Each peer answers a tiny model as it should, in the call that is timed; an absent one is a declared skip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from benchmarks.peers import PEERS, PeerRefusal, is_installed, peer_engine, peer_engines, peer_versions
from benchmarks.topologies.build import build

NETWORK_PEERS = [name for name in PEERS if name != "torch"]


def needed(name: str, optional_capability: Callable[[str, str], None]) -> None:
    if not is_installed(name):
        optional_capability("benchmark peer", f"{PEERS[name].package} is not installed")


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    built = build("autoencoder", "w8a8")
    path = tmp_path_factory.mktemp("peers") / "autoencoder.onnx"
    onnx.save(built.model, path)
    return path, built.inputs


@pytest.mark.parametrize("name", NETWORK_PEERS)
def test_a_peer_answers_as_onnxruntime_within_a_few_steps(
    name: str, autoencoder: tuple[Path, dict[str, np.ndarray]], optional_capability: Callable[[str, str], None]
) -> None:
    needed(name, optional_capability)
    path, inputs = autoencoder
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    engine = peer_engine(name, path, threads=1)
    for sign in (1, -1):
        sample = {key: np.float32(sign) * array for key, array in inputs.items()}
        found = engine.run(sample)
        for output, expected in zip(session.get_outputs(), session.run(None, sample), strict=True):
            assert found[output.name].shape == expected.shape
            assert expected.std() > 0.01
            assert np.abs(found[output.name] - expected).max() < 0.05 * expected.std()


@pytest.mark.parametrize("name", NETWORK_PEERS)
def test_the_timed_call_reads_what_was_loaded_last(
    name: str, autoencoder: tuple[Path, dict[str, np.ndarray]], optional_capability: Callable[[str, str], None]
) -> None:
    needed(name, optional_capability)
    path, inputs = autoencoder
    engine = peer_engine(name, path, threads=1)
    first = engine.run(inputs)
    other = engine.run({key: -array for key, array in inputs.items()})
    again = engine.run(inputs)
    assert all(np.array_equal(again[key], first[key]) for key in first)
    assert all(not np.array_equal(other[key], first[key]) for key in first)


def test_openvino_names_its_kernels(
    autoencoder: tuple[Path, dict[str, np.ndarray]], optional_capability: Callable[[str, str], None]
) -> None:
    needed("OpenVINO", optional_capability)
    facts = peer_engine("OpenVINO", autoencoder[0], threads=1).facts
    dense = {kernel: count for kernel, count in facts["kernels"].items() if kernel.startswith("FullyConnected")}
    assert dense
    assert all(kernel.endswith("_I8") for kernel in dense), "float kernels are no int8 peer"
    assert "INT8" in facts["capabilities"]


def test_a_peer_that_is_not_installed_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.peers.is_installed", lambda name: False)
    engines, notes = peer_engines(["OpenVINO"], tmp_path / "model.onnx", 1)
    assert (engines, len(notes)) == ([], 1)
    assert "pip install openvino" in notes[0]


def test_a_model_that_litert_has_no_operator_for_is_refused(tmp_path: Path) -> None:
    value, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], name="bell")], "g", [value], [result])
    onnx.save(helper.make_model(graph), tmp_path / "erf.onnx")
    with pytest.raises(PeerRefusal, match="Erf 'bell'"):
        peer_engine("LiteRT", tmp_path / "erf.onnx", 1)


def test_installed_peers_have_versions() -> None:
    versions = peer_versions()
    assert {PEERS[name].distribution for name in PEERS if is_installed(name)} == set(versions)
    assert all(versions.values())
