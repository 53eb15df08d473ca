"""Data.observe: the same bits for any number of processes and across kills; what goes wrong is a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.memory import bound, state_bytes
from subbyte.compiler.calibration.observers import (
    Histogram,
    MinMax,
    Moments,
    Observer,
    Reservoir,
    SecondMoments,
    Together,
)
from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import ModelError, NumericsError, ToolchainError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]


def network(name: str = "network", mixing: bool = False) -> Graph:
    """Two convolutions, a pool and a matrix product; `mixing`: behind a softmax over the batch axis."""
    generator = np.random.default_rng(0)

    def numbers(*shape: int) -> Value:
        return Constant.of(generator.normal(size=shape) / 3, FLOAT32).out

    image = Input("image", TensorType(FLOAT32, (1, 2, 8, 8)))
    x = ops.Conv(image.out, numbers(4, 2, 3, 3), numbers(4), (1, 1), (1, 1, 1, 1), (1, 1), 1, sources=("first",)).out
    x = ops.Unary(x, "Relu").out
    x = ops.Conv(x, numbers(4, 1, 3, 3), None, (2, 2), (1, 1, 1, 1), (1, 1), 4, sources=("second",)).out
    x = ops.Reshape(ops.ReduceMean(x, (2, 3), True).out, (1, 4)).out
    x = ops.Softmax(x, 0).out if mixing else x
    x = ops.Gemm(x, numbers(4, 3), None, 1.0, 1.0, False, False, sources=("third",)).out
    return Graph(name, (image,), (Output("y", x),))


def images(count: int) -> Array:
    return np.random.default_rng(1).normal(size=(count, 2, 8, 8)).astype(np.float32)


def observers(graph: Graph) -> dict[Value, Observer]:
    seen: dict[Value, Observer] = {
        layer.x: Together(
            histogram=Histogram(), moments=Moments(1), products=SecondMoments(layer), kept=Reservoir(5, seed=2)
        )
        for layer in layers(graph)
    }
    return seen | {graph.outputs[0].value: MinMax(1)}


def states(seen: dict[Value, Observer]) -> list[tuple[str, bytes]]:
    return [
        (f"{number}/{key}", array.tobytes())
        for number, observer in enumerate(seen.values())
        for key, array in sorted(observer.state().items())
    ]


def observed(samples: Any, checkpoint: Path | None = None, graph: Graph | None = None, **options: Any) -> Any:
    graph = graph or network()
    seen = observers(graph)
    data = Data(samples, **options)
    data.observe(graph, seen, checkpoint)
    return states(seen)


@pytest.mark.parametrize("backend", ["onnxruntime", "interpreter"])
def test_observers_see_what_the_network_computes(backend: str) -> None:
    graph, samples = network(), images(7)
    data, seen = Data(samples, executor=backend, batch=3), observers(graph)
    data.observe(graph, seen)
    from subbyte.compiler.ir.interpret import evaluate_values

    runs = [evaluate_values(graph, {"image": sample[np.newaxis]}) for sample in samples]
    assert data.count == 7
    for value, observer in seen.items():
        expected = np.concatenate([run[value] for run in runs])
        low, high = expected.min(), expected.max()
        inner = observer["histogram"] if isinstance(observer, Together) else observer
        assert isinstance(inner, (Histogram, MinMax))
        np.testing.assert_allclose((inner.low.min(), inner.high.max()), (low, high), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mixing", [False, True])
def test_the_number_of_processes_does_not_show(mixing: bool) -> None:
    graph = network(mixing=mixing)
    alone = observed(images(11), graph=graph, batch=4)
    for processes in (2, 3):
        assert observed(images(11), graph=graph, batch=4, processes=processes) == alone


def test_progress_counts_samples() -> None:
    calls: list[tuple[int, int | None]] = []
    observed(images(10), batch=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 10), (8, 10), (10, 10)]
    calls.clear()
    observed((image for image in images(5)), batch=4, progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (4, None)


@pytest.mark.parametrize("name", ["all.npz", "all.npy"])
def test_progress_knows_how_many_samples_a_file_holds(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", image=images(5), label=np.arange(5))
    np.save(tmp_path / "all.npy", images(5))
    calls: list[tuple[int, int | None]] = []
    observed(tmp_path / name, batch=4, limit=20, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 5), (5, 5)]


def test_a_limit_uses_the_first_samples() -> None:
    assert observed(images(9), limit=5) == observed(images(9)[:5])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_tensor_that_overflows_is_named(processes: int) -> None:
    samples = images(6)
    samples[4] = 3e38
    with pytest.raises(NumericsError, match=r"computed from one of the samples 4 to 5: \d+ of \d+ elements are NaN"):
        observed(samples, batch=2, processes=processes)


def test_a_process_that_ends_is_reported() -> None:
    class Deadly(MinMax):
        """Ends the process that unpickles it."""

        def __reduce__(self) -> Any:
            return os._exit, (3,)

        def fresh(self) -> Deadly:
            return Deadly()

    graph = network()
    with pytest.raises(ToolchainError, match="a process that ran samples ended with status 3"):
        Data(images(4), processes=2).observe(graph, {graph.outputs[0].value: Deadly()})


# Checkpoints ----------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """Ends a run from its progress."""


def stop_at(limit: int) -> Any:
    def progress(done: int, total: int | None) -> None:
        if done >= limit:
            raise Stopped

    return progress


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_goes_on_from_its_checkpoint(processes: int, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    options: dict[str, Any] = {"batch": 3, "checkpoint_every": 3}
    with pytest.raises(Stopped):
        observed(images(14), path, progress=stop_at(9), **options)
    done: list[int] = []
    resumed = observed(images(14), path, progress=lambda n, _: done.append(n), processes=processes, **options)
    assert done == [12, 14]
    assert resumed == observed(images(14), **options)
    assert observed(images(14), path, **options) == resumed  # nothing is left to do, and all is there


_RUN = """
import sys, time
sys.path[:] = {path!r}
from pathlib import Path
from tests.calibration.test_data import images, observers, network
from subbyte.compiler.calibration.data import Data
graph = network()
def slowly():
    for image in images(40):
        time.sleep(0.02)
        yield image
Data(slowly, batch=4, checkpoint_every=4).observe(graph, observers(graph), Path({checkpoint!r}))
"""


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.npz"
    root = str(Path(__file__).resolve().parents[2])
    script = _RUN.format(path=[*sys.path, root], checkpoint=str(checkpoint))
    running = subprocess.Popen([sys.executable, "-c", script])
    seen, deadline = 0, time.monotonic() + 60
    while seen < 12:
        assert running.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
        if checkpoint.exists():
            with np.load(checkpoint) as stored:
                seen = int(stored["position"])
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert seen < 40
    steps: list[int] = []
    resumed = observed(images(40), checkpoint, batch=4, checkpoint_every=4, progress=lambda n, _: steps.append(n))
    assert steps[0] >= seen
    assert len(steps) < 10
    assert resumed == observed(images(40), batch=4)


def test_workers_end_with_their_caller() -> None:
    """A caller that is killed leaves no process behind: its workers find their input at an end."""
    root = str(Path(__file__).resolve().parents[2])
    script = f"""
import sys, time
sys.path[:] = {[*sys.path, root]!r}
from tests.calibration.test_data import images, observers, network
from subbyte.compiler.calibration.worker import Workers
graph = network()
seen = observers(graph)
with Workers(2, graph, tuple(seen), tuple(seen.values()), "interpreter", 2) as workers:
    print(*(process.pid for process in workers._processes), flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        workers = [int(text) for text in caller.stdout.readline().split()]
        caller.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    observed(images(6), path, batch=3)
    other = network()
    seen: dict[Value, Observer] = {other.outputs[0].value: MinMax()}
    with pytest.raises(ModelError, match=r"belongs to another run: its graph, back end, observers or batch"):
        Data(images(6), batch=3).observe(other, seen, path)
    for options in ({"batch": 2}, {"batch": 3, "executor": "interpreter"}, {"batch": 3, "graph": network("renamed")}):
        with pytest.raises(ModelError, match="belongs to another run"):
            observed(images(6), path, **options)
    with pytest.raises(ModelError, match="has seen 6 samples, and now there are others"):
        observed(images(6)[::-1], path, batch=3)
    with pytest.raises(ModelError, match="has seen 6 samples, and now there are 4 only"):
        observed(images(4), path, batch=3)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_text("something else")
    with pytest.raises(ModelError, match="is not a checkpoint of a calibration"):
        observed(images(4), path)
    np.savez(path, x=np.ones(3))
    with pytest.raises(ModelError, match="is not a checkpoint of a calibration"):
        observed(images(4), path)
    assert path.exists()


def test_a_run_with_a_checkpoint_begins_with_nothing(tmp_path: Path) -> None:
    graph = network()
    seen = observers(graph)
    Data(images(2)).observe(graph, seen)
    with pytest.raises(ModelError, match="have seen something already"):
        Data(images(2)).observe(graph, seen, tmp_path / "run.npz")


# Memory ---------------------------------------------------------------------------------------------------------------


def test_observers_keep_no_more_than_the_formula_says() -> None:
    graph = network()
    seen = observers(graph)
    Data(images(20)).observe(graph, seen)
    for value, observer in seen.items():
        kept = sum(array.nbytes for array in observer.state().values())
        assert kept <= state_bytes(observer, value)
    assert bound(graph, seen, 8) > bound(graph, seen, 4) > sum(state_bytes(o, v) for v, o in seen.items())


def test_memory_does_not_grow_with_the_samples() -> None:
    import tracemalloc

    def peak(count: int) -> int:
        graph = network()
        seen = {layer.x: Histogram() for layer in layers(graph)}
        data = Data(lambda: (np.full((2, 8, 8), number, np.float32) for number in range(count)), batch=4)
        data.observe(graph, seen)  # what is allocated once, is
        tracemalloc.start()
        data.observe(graph, {layer.x: Histogram() for layer in layers(graph)})
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(400) < peak(40) * 1.5
