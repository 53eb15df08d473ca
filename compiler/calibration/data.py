"""Samples and what runs them: what passes are given as `data`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.check import Inputs
from subbyte.compiler.calibration.checkpoint import Checkpoint, identity
from subbyte.compiler.calibration.executor import Executor, batched_for, chosen_backend
from subbyte.compiler.calibration.files import file_source
from subbyte.compiler.calibration.memory import SHOWN_BYTES, bytes_at_once
from subbyte.compiler.calibration.observers import Observer
from subbyte.compiler.calibration.sources import Arrays, Iterated, Sample, SampleSource
from subbyte.compiler.calibration.worker import Chunk, Workers, names_of, observe_chunk
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Value

Array = NDArray[Any]
Progress = Callable[[int, int | None], None]
_NONE_READ = b"\0" * 32


class Data:
    """Samples, and how they run through float graphs.

    samples: a SampleSource; the path of an .npz or .npy file or of a folder (files.py); arrays [samples, ...] by input
        name, or one for the only input; an iterable of samples, each an array or arrays by name.
    executor: "onnxruntime", "interpreter", or None for the best that is installed.
    processes: how many run samples, besides this one, which reads them; 1: this one does both.
    batch: at most so many samples run at once; fewer where the values shown would take more than 128 MiB, and one where
        the graph does not keep samples apart.
    limit: so many samples are used, from the first on.
    progress: called with (samples done, samples in all or None) after each run.
    checkpoint_every: so many samples lie at least between two writings of a checkpoint.
    notices: sentences for the user about the samples that were read last.

    Memory beside the samples' own, which a source reads one by one: memory.py has the formula.
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
        checkpoint_every: int = 256,
    ) -> None:
        for name, number in (("processes", processes), ("batch", batch), ("checkpoint_every", checkpoint_every)):
            if number < 1:
                raise ModelError(f"{name} is {number}; 1 or more is needed.")
        if limit is not None and limit < 1:
            raise ModelError(f"the limit is {limit} samples; 1 or more is needed.")
        self.source = _source(samples)
        self.executor = executor
        self.processes = processes
        self.batch = batch
        self.limit = limit
        self.progress = progress
        self.checkpoint_every = checkpoint_every
        self.notices: tuple[str, ...] = ()
        self._digest: str | None = None
        self._count: int | None = None

    def like(self, *, limit: int | None = None, progress: Progress | None = None) -> Data:
        """The same samples, run in the same way; `limit`: no more than so many of those that are used."""
        limits = [bound for bound in (self.limit, limit) if bound is not None]
        return Data(
            self.source,
            executor=self.executor,
            processes=self.processes,
            batch=self.batch,
            limit=min(limits) if limits else None,
            progress=progress or self.progress,
            checkpoint_every=self.checkpoint_every,
        )

    @property
    def count(self) -> int | None:
        """How many samples are used; None where that is not known before they were read once."""
        if self._count is not None:
            return self._count
        known = self.source.count
        return known if self.limit is None or known is None else min(known, self.limit)

    def _expected(self, inputs: Inputs) -> int | None:
        """How many samples progress is told that there will be."""
        known = self.source.count_for(inputs) if self.progress is not None and self._count is None else self.count
        return known if self.limit is None or known is None else min(known, self.limit)

    def digest(self) -> str:
        """A SHA-256 of all samples that were read last: names, shapes, dtypes, contents and order, in hexadecimal.

        Raises ModelError: none were read to their end yet.
        """
        if self._digest is None:
            raise ModelError("no samples were read yet, so there is no digest of them; observe something first.")
        return self._digest

    def samples(self, graph: Graph) -> Iterator[Sample]:
        """The samples one after the other: arrays of the exact types of the graph's inputs.

        Raises ModelError: one does not fit, or there are none.
        """
        for sample, _ in self._read(graph):
            yield sample

    def batches(self, graph: Graph, size: int) -> Iterator[dict[str, Array]]:
        """The samples laid behind each other along axis 0, `size` at a time, the last time fewer."""
        for chunk in _chunks(self._read(graph), size, 0):
            yield dict(chunk.inputs)

    def observe(self, graph: Graph, observers: Mapping[Value, Observer], checkpoint: Path | None = None) -> None:
        """Run all samples once through `graph`; each observer gets every array of its value.

        The result is the same, bit for bit, for any number of processes, and whether the run was interrupted or not.

        Args:
            checkpoint: a file that holds what was seen so far; where it exists, the run goes on from there, after the
                samples before were read again and found to be the same. It stays when the run is over.
        Raises: ModelError: a sample does not fit; the checkpoint is of another run. NumericsError: a value became NaN
            or infinite; the text names it. ToolchainError: a back end is missing, or a process ended.
        """
        values, seen = tuple(observers), tuple(observers.values())
        backend = chosen_backend(self.executor)
        _, batch, _ = batched_for(graph, values, self._at_once(graph, values, seen))
        kept = None
        if checkpoint is not None:
            if any(observer.state() for observer in seen):
                raise ModelError("the observers have seen something already; a run with a checkpoint begins with none.")
            kept = Checkpoint(Path(checkpoint), identity(graph, values, seen, backend, batch))
        total = self._expected({node.name: node.type for node in graph.inputs})
        stream = self._read(graph)
        done = saved = _resume(kept, seen, stream)
        chain = b""
        for chunk in self._observed(graph, values, seen, backend, batch, _chunks(stream, batch, done)):
            done, chain = chunk.position + chunk.count, chunk.chain
            if kept is not None and done - saved >= self.checkpoint_every:
                kept.save(done, chain, seen)
                saved = done
            if self.progress is not None:
                self.progress(done, total)
        if kept is not None and done > saved:
            kept.save(done, chain, seen)

    def _read(self, graph: Graph) -> Iterator[tuple[Sample, bytes]]:
        """Each sample, and the digest of all up to it: h(i) = SHA-256(h(i - 1), SHA-256 of sample i)."""
        inputs = {node.name: node.type for node in graph.inputs}
        chain, count = _NONE_READ, 0
        for sample in islice(self.source.samples(inputs), self.limit):
            chain = hashlib.sha256(chain + _digest_of(sample)).digest()
            count += 1
            yield sample, chain
        if not count:
            raise ModelError("there are no samples; one is needed, and some hundred are usual.")
        self._digest, self._count = chain.hex(), count
        single = "there is one sample only; ranges of activations from one sample are poor, some hundred are usual."
        self.notices = (single,) if count == 1 else ()

    def _observed(
        self,
        graph: Graph,
        values: Sequence[Value],
        observers: Sequence[Observer],
        backend: str,
        batch: int,
        chunks: Iterator[Chunk],
    ) -> Iterator[Chunk]:
        """The chunks, in order, each once the observers have seen it."""
        if self.processes == 1:
            executor, names = Executor(graph, values, backend, batch), names_of(graph, values)
            for chunk in chunks:
                observe_chunk(executor, observers, names, chunk)
                yield chunk
            return
        with Workers(self.processes, graph, values, observers, backend, batch) as workers:
            for chunk, states in workers.run(chunks):
                for observer, state in zip(observers, states, strict=True):
                    other = observer.fresh()
                    other.restore(state)
                    observer.merge(other)
                yield chunk

    def _at_once(self, graph: Graph, values: Sequence[Value], observers: Sequence[Observer]) -> int:
        """How many samples are to run at once."""
        if any(getattr(observer, "axis", None) == 0 for observer in observers):
            return 1
        return max(1, min(self.batch, SHOWN_BYTES // max(1, bytes_at_once(graph, values))))


def _chunks(stream: Iterator[tuple[Sample, bytes]], size: int, position: int) -> Iterator[Chunk]:
    """The samples of `stream`, the first of which has the number `position`, `size` at a time."""
    while group := list(islice(stream, size)):
        inputs = group[0][0]
        if len(group) > 1:
            inputs = {name: np.concatenate([sample[name] for sample, _ in group]) for name in inputs}
        yield Chunk(position, len(group), inputs, group[-1][1])
        position += len(group)


def _resume(kept: Checkpoint | None, observers: Sequence[Observer], stream: Iterator[tuple[Sample, bytes]]) -> int:
    """Restore the observers and read over the samples that they have seen: how many those are."""
    restored = kept.load(observers) if kept is not None else None
    if kept is None or restored is None:
        return 0
    position, expected = restored
    chain, count = _NONE_READ, 0
    for _, latest in islice(stream, position):
        chain, count = latest, count + 1
    if (count, chain) != (position, expected):
        found = "others" if count == position else f"{count} only"
        raise ModelError(
            f"the checkpoint '{kept.path}' has seen {position} samples, and now there are {found}; remove it to begin "
            "anew, or give the same samples."
        )
    return position


def _digest_of(sample: Sample) -> bytes:
    """SHA-256 over the names, dtypes, shapes and contents of a sample."""
    digest = hashlib.sha256()
    for name in sorted(sample):
        array = np.ascontiguousarray(sample[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
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
