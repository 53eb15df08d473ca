"""Random models compiled many at once: the compiler takes no longer for forty of them than for two."""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.target import Target
from tests.fuzz.models.compare import need_same
from tests.onnx_node.compiled import build_library, printed, run_compiled

Arrays = Mapping[str, NDArray[Any]]
_TOGETHER = 40


@dataclass(frozen=True)
class Compiled:
    """A model made into C: what it is made of, what it is, and what the interpreter answers to its samples."""

    model: object
    calls: Graph
    files: Mapping[str, bytes]
    samples: Sequence[Arrays]
    answers: Sequence[Arrays]


@dataclass
class Batch:
    """Models for one target; every third keeps the work that range analysis would remove."""

    target: Target
    entries: list[Compiled] = field(default_factory=list)

    def add(self, model: object, graph: Graph, samples: Sequence[Arrays], answers: Sequence[Arrays]) -> None:
        """Lower and print a graph of stage quantized."""
        calls = lowered(graph, self.target, Options(remove_work=len(self.entries) % 3 != 2))
        files = printed(f"model_{len(self.entries) % _TOGETHER}", calls, self.target)
        self.entries.append(Compiled(model, calls, files, samples, answers))

    def differences(self) -> Iterator[str]:
        """Compile and run all: what differs from the interpreter, with the model."""
        for begin in range(0, len(self.entries), _TOGETHER):
            yield from self._differences(self.entries[begin : begin + _TOGETHER])

    def _differences(self, entries: Sequence[Compiled]) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "models.so"
            files = {f"model_{index}": entry.files for index, entry in enumerate(entries)}
            build_library(files, path, Path(folder), self.target)
            library = ctypes.CDLL(str(path))
            try:
                for name, entry in zip(files, entries, strict=True):
                    for sample, expected in zip(entry.samples, entry.answers, strict=True):
                        try:
                            found = run_compiled(library, name, entry.calls, sample)
                            need_same(expected, found, f"compiled for {self.target.name}")
                        except AssertionError as error:
                            yield f"{error}\n{entry.model}"
            finally:
                _ctypes.dlclose(library._handle)
