"""Runs of samples in other processes: the same executor and fresh observers there, their states sent back.

A worker is a new interpreter that reads requests from its standard input and writes answers to its standard output, so
that neither the caller's threads nor its main module matter. What goes over these pipes is pickled, and both ends are
this program.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from numpy.typing import NDArray

from subbyte.compiler import errors
from subbyte.compiler.calibration.executor import Executor
from subbyte.compiler.calibration.observers import Observer, State
from subbyte.compiler.errors import NumericsError, SubbyteError, ToolchainError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.text import parse_graph, print_graph

Array = NDArray[Any]
_START = "import sys; sys.path[:] = {path!r}; from subbyte.compiler.calibration.worker import serve; serve()"
_LENGTH_BYTES = 8
# One thread for each worker's matrix products: several would wait for each other's cores. OpenBLAS, which NumPy brings,
# divides a product by its rows and columns and not by its sums, so the bits stay those of any number of threads.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Chunk:
    """Samples that run at once, behind each other along axis 0.

    position: the number of the first in the stream. count: how many they are. chain: the digest up to the last.
    """

    position: int
    count: int
    inputs: Mapping[str, Array]
    chain: bytes


def observe_chunk(executor: Executor, observers: Sequence[Observer], names: Sequence[str], chunk: Chunk) -> None:
    """Run one chunk and show each observer its value.  Raises NumericsError: NaN or infinity; it names the value."""
    results = executor.run(chunk.inputs)
    for number, (observer, name) in enumerate(zip(observers, names, strict=True)):
        observer.position = chunk.position
        try:
            observer.update(results[number])
        except NumericsError as error:
            last = chunk.position + chunk.count - 1
            where = f"sample {last}" if chunk.count == 1 else f"one of the samples {chunk.position} to {last}"
            raise NumericsError(f"tensor '{name}', computed from {where}: {error}") from error


def names_of(graph: Graph, values: Sequence[Value]) -> list[str]:
    """What errors call the values."""
    named = value_names(graph)
    return [named.get(value, value.node.label) for value in values]


class Workers:
    """`count` processes that run chunks of one graph; a context manager that ends them."""

    def __init__(
        self, count: int, graph: Graph, values: Sequence[Value], observers: Sequence[Observer], backend: str, batch: int
    ) -> None:
        if not sys.executable:
            raise ToolchainError("this Python does not know its own executable, which other processes need; use one.")
        numbers = {node: number for number, node in enumerate(graph.nodes())}
        places = [(numbers[value.node], value.index) for value in values]
        fresh = [observer.fresh() for observer in observers]
        setup = pickle.dumps((print_graph(graph), places, fresh, backend, batch))
        command = [sys.executable, "-c", _START.format(path=sys.path)]
        environment = os.environ | dict.fromkeys(_THREADS, "1")
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            for _ in range(count)
        ]
        for process in self._processes:
            self._send(process, setup)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[State]]]:
        """Each chunk and the states of observers that have seen it alone, in the order of the chunks.

        Chunk i goes to worker i modulo `count`, which has one at a time: at most `count` are under way.
        """
        waiting: deque[Chunk] = deque()
        done = 0
        for number, chunk in enumerate(chunks):
            if len(waiting) == len(self._processes):
                yield waiting.popleft(), self._receive(self._processes[done % len(self._processes)])
                done += 1
            self._send(self._processes[number % len(self._processes)], pickle.dumps(chunk, protocol=5))
            waiting.append(chunk)
        while waiting:
            yield waiting.popleft(), self._receive(self._processes[done % len(self._processes)])
            done += 1

    def _send(self, process: subprocess.Popen[bytes], content: bytes) -> None:
        assert process.stdin is not None
        try:
            _write(process.stdin, content)
        except OSError:
            self._ended(process)

    def _receive(self, process: subprocess.Popen[bytes]) -> list[State]:
        assert process.stdout is not None
        content = _read(process.stdout)
        if content is None:
            self._ended(process)
        error, states = pickle.loads(content or b"")
        if error is not None:
            kind, text = error
            raise getattr(errors, kind, ToolchainError)(text)
        return states  # type: ignore[no-any-return]

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        raise ToolchainError(
            f"a process that ran samples ended with status {process.wait()}, perhaps for lack of memory; "
            "fewer processes, or a smaller batch, need less."
        )


def serve() -> None:
    """What a worker does: read the setup, then answer one chunk after the other until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is interrupted too, and ends its workers
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print does not get between the answers
    executor: Executor | None = None
    names: list[str] = []
    observers: list[Observer] = []
    while (content := _read(requests)) is not None:
        try:
            if executor is None:
                text, places, observers, backend, batch = pickle.loads(content)
                graph = parse_graph(text)
                nodes = graph.nodes()
                values = [Value(nodes[number], index) for number, index in places]
                names = names_of(graph, values)
                executor = Executor(graph, values, backend, batch)
                continue
            seen = [observer.fresh() for observer in observers]
            observe_chunk(executor, seen, names, pickle.loads(content))
            answer: Any = (None, [observer.state() for observer in seen])
        except SubbyteError as error:
            answer = ((type(error).__name__, str(error)), None)
        except Exception:  # whatever it is, the caller is told, where it would else wait
            answer = (("ToolchainError", f"a process that ran samples failed:\n{traceback.format_exc()}"), None)
        try:
            _write(answers, pickle.dumps(answer, protocol=5))
        except BrokenPipeError:  # the caller was killed
            os._exit(1)
        if answer[0] is not None:
            return


def _write(file: IO[bytes], content: bytes) -> None:
    file.write(len(content).to_bytes(_LENGTH_BYTES, "little"))
    file.write(content)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """The next message; None where the other end is gone."""
    length = file.read(_LENGTH_BYTES)
    if len(length) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "little")
    content = file.read(size)
    return content if len(content) == size else None
