"""The engines beside subbyte. Each is imported when it is asked for, and one that is not installed says so."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.engines import Engine


class PeerRefusal(Exception):
    """A peer is not installed, or does not take the model."""


@dataclass(frozen=True)
class Peer:
    """package: as imported. distribution: as installed. factory: its module in benchmarks.peers, and a function there.

    The function takes a model's path and a number of threads; it raises PeerRefusal.
    """

    package: str
    distribution: str
    factory: str


PEERS = {
    "onnxruntime": Peer("onnxruntime", "onnxruntime", "onnxruntime_peer:onnxruntime_engine"),
    "onnxruntime, int8 allowed": Peer("onnxruntime", "onnxruntime", "onnxruntime_peer:onnxruntime_int8_engine"),
    "OpenVINO": Peer("openvino", "openvino", "openvino_peer:openvino_engine"),
    "LiteRT": Peer("ai_edge_litert", "ai-edge-litert", "litert_peer:litert_engine"),
    "torch": Peer("torch", "torch", "torch_peer:torch_engine"),
}


def is_installed(name: str) -> bool:
    """Whether the peer called `name` can be asked for."""
    return importlib.util.find_spec(PEERS[name].package) is not None


def peer_engine(name: str, model: Path, threads: int) -> Engine:
    """The peer called `name` with `model`.  Raises PeerRefusal."""
    peer = PEERS[name]
    if not is_installed(name):
        raise PeerRefusal(f"it is not installed; `pip install {peer.distribution}` brings it")
    module, _, function = peer.factory.partition(":")
    factory: Callable[[Path, int], Engine] = getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)
    return factory(model, threads)


def peer_engines(names: Sequence[str], model: Path, threads: int) -> tuple[list[Engine], list[str]]:
    """The peers among `names` that take the model, and why the others do not."""
    engines, notes = [], []
    for name in names:
        try:
            engines.append(peer_engine(name, model, threads))
        except PeerRefusal as refusal:
            notes.append(f"{name} is not measured: {refusal}.")
    return engines, notes


def peer_versions() -> dict[str, str]:
    """Peer to version, of those that are installed."""
    distributions = {peer.distribution for name, peer in PEERS.items() if is_installed(name)}
    return {name: metadata.version(name) for name in sorted(distributions)}
