"""Samples and what runs them: what passes are given as `data`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.check import Inputs
from subbyte.compiler.calibration.executor import Executor
from subbyte.compiler.calibration.files import file_source
from subbyte.compiler.calibration.observers import Observer
from subbyte.compiler.calibration.sources import Arrays, Iterated, Sample, SampleSource
from subbyte.compiler.errors import ModelError, NumericsError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Value

Array = NDArray[Any]
Progress = Callable[[int, int | None], None]  # samples done, samples in all where known
_SHOWN_BYTES = 128 << 20  # of the values shown in one run: it bounds how many samples run at once


class Data:
    """Samples, and how they run through float graphs.

    samples: a SampleSource; the path of an .npz or .npy file or of a folder (files.py); arrays [samples, ...] by input
        name, or one for the only input; an iterable of samples, each an array or arrays by name.
    executor: "onnxruntime", "interpreter", or None for the best that is installed.
    batch: at most so many samples run at once; fewer where the values shown would take more than 128 MiB, and one where
        the graph does not keep samples apart.
    limit: so many samples are used, from the first on.
    progress: called with (samples done, samples in all or None) after each run.
    """

    def __init__(
        self,
        samples: SampleSource | str | Path | Mapping[str, Array] | Array | Iterable[Any] | Callable[[], Iterable[Any]],
        *,
        executor: str | None = None,
        processes: int = 1,
        batch: int = 32,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.source = _source(samples)
        self.executor = executor
        self.processes = processes
        self.batch = batch
        self.limit = limit
        self.progress = progress
        self._digest: str | None = None
        self._count: int | None = None

    @property
    def count(self) -> int | None:
        """How many samples are used; None where that is not known before they were read once."""
        if self._count is not None:
            return self._count
        known = self.source.count
        return known if self.limit is None or known is None else min(known, self.limit)

    def digest(self) -> str:
        """A SHA-256 of all samples that the last pass read: names, shapes, dtypes, contents and order, in hexadecimal.

        Raises ModelError: no pass was made yet.
        """
        if self._digest is None:
            raise ModelError("no samples were read yet, so there is no digest of them; observe something first")
        return self._digest

    def samples(self, graph: Graph) -> Iterator[Sample]:
        """The samples one after the other: arrays of the exact types of the graph's inputs."""
        inputs: Inputs = {node.name: node.type for node in graph.inputs}
        digest = hashlib.sha256()
        count = 0
        for sample in islice(self.source.samples(inputs), self.limit):
            digest = hashlib.sha256(digest.digest() + digest_of(sample))
            count += 1
            yield sample
        if not count:
            raise ModelError("there are no samples; one is needed, and some hundred are usual.")
        self._digest, self._count = digest.hexdigest(), count

    def batches(self, graph: Graph, size: int) -> Iterator[dict[str, Array]]:
        """The samples laid behind each other along axis 0, `size` at a time, the last time fewer."""
        samples = self.samples(graph)
        while chunk := list(islice(samples, size)):
            yield {name: np.concatenate([sample[name] for sample in chunk]) for name in chunk[0]}

    def observe(self, graph: Graph, observers: Mapping[Value, Observer], checkpoint: Path | None = None) -> None:
        """Run all samples once through `graph`; each observer gets every array of its value.

        Raises ModelError: a sample does not fit. NumericsError: a value became NaN or infinite; the text names it.
        """
        values = tuple(observers)
        executor = Executor(graph, values, self.executor, self._at_once(values, observers))
        names = value_names(graph)
        done = 0
        for inputs in self.batches(graph, executor.batch):
            count = sample_count(graph, inputs)
            for value, array in zip(values, executor.run(inputs), strict=True):
                observer = observers[value]
                observer.position = done
                try:
                    observer.update(array)
                except NumericsError as error:
                    raise NumericsError(
                        f"'{names.get(value, value.node.label)}' at samples {done}..{done + count - 1}: {error}"
                    ) from error
            done += count
            if self.progress is not None:
                self.progress(done, self.count)

    def _at_once(self, values: Iterable[Value], observers: Mapping[Value, Observer]) -> int:
        """How many samples run at once."""
        if any(getattr(observers[value], "axis", None) == 0 for value in values):
            return 1
        size = sum(value.type.bytes for value in values)
        return max(1, min(self.batch, _SHOWN_BYTES // max(1, size)))


def sample_count(graph: Graph, inputs: Mapping[str, Array]) -> int:
    """How many samples lie behind each other in `inputs`."""
    for node in graph.inputs:
        if node.type.rank and node.type.shape[0]:
            return len(inputs[node.name]) // node.type.shape[0]
    return 1


def digest_of(sample: Sample) -> bytes:
    """SHA-256 over the names, dtypes, shapes and contents of a sample."""
    digest = hashlib.sha256()
    for name in sorted(sample):
        array = np.ascontiguousarray(sample[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data if array.size else b"")
    return digest.digest()


def _source(samples: Any) -> SampleSource:
    match samples:
        case SampleSource():
            return samples
        case str() | Path():
            return file_source(Path(samples))
        case np.ndarray() | Mapping():
            return Arrays(samples)
    if callable(samples) or hasattr(samples, "__iter__"):
        return Iterated(samples)
    raise ModelError(f"samples cannot be a {type(samples).__name__}; arrays, or an iterable of arrays, are needed.")
