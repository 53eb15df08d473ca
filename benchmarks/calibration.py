"""`python -m benchmarks.calibration`: many samples through a float ResNet18 in bounded memory, killed and resumed.

Three processes are started one after the other: one runs all samples; one is killed (SIGKILL) when its checkpoint is
halfway; one goes on from that checkpoint. Printed are samples a second, the largest resident set of the first beside
the bound of compiler/calibration/memory.py, and whether the resumed run ended with the same bits.
"""

from __future__ import annotations

import gc
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.machine import machine
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.executor import batched_for
from subbyte.compiler.calibration.memory import SHOWN_BYTES, bound, bytes_at_once
from subbyte.compiler.calibration.observers import Histogram, Moments, Observer, Together
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.node import Value

_MEBIBYTE = 1 << 20


def main(
    samples: Annotated[int, typer.Option(min=4, help="How many images run.")] = 2000,
    resolution: Annotated[int, typer.Option(min=32, help="Of the images.")] = 224,
    processes: Annotated[int, typer.Option(min=1, help="How many run them.")] = 1,
    once: Annotated[Path | None, typer.Option(help="Run once with this checkpoint, and print the figures.")] = None,
    model: Annotated[Path | None, typer.Option(help="The network that --once runs.")] = None,
) -> None:
    """Calibrate ResNet18 on random images, and once more with a kill at half of them."""
    if once is not None and model is not None:
        typer.echo(json.dumps(run_once(model, once, samples, processes)))
        return
    from benchmarks.topologies.build import build

    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "resnet18.onnx"
        network.write_bytes(build("resnet18", "float", resolution).model.SerializeToString())
        command = [sys.executable, "-m", "benchmarks.calibration", "--samples", str(samples)]
        command += ["--processes", str(processes), "--model", str(network), "--once"]
        whole = _finished([*command, str(Path(folder) / "whole.npz")])
        killed_at = _killed([*command, str(Path(folder) / "killed.npz")], Path(folder) / "killed.npz", samples // 2)
        resumed = _finished([*command, str(Path(folder) / "killed.npz")])
    typer.echo(f"machine: {json.dumps(machine())}")
    typer.echo(
        f"{samples} samples at {resolution} x {resolution}, {whole['batch']} at once, {processes} process(es): "
        f"{samples / whole['seconds']:.1f} samples/s"
    )
    typer.echo(
        f"largest resident set {whole['peak_mib']:.0f} MiB (before the run {whole['base_mib']:.0f}); bound "
        f"{whole['base_mib'] + whole['bound_mib']:.0f} MiB"
    )
    typer.echo(
        f"killed at {killed_at} samples, resumed in {resumed['seconds']:.0f} s: "
        f"{'the same bits' if resumed['states'] == whole['states'] else 'OTHER BITS'}"
    )
    if resumed["states"] != whole["states"] or whole["peak_mib"] > whole["base_mib"] + whole["bound_mib"]:
        raise typer.Exit(1)


def run_once(model: Path, checkpoint: Path, samples: int, processes: int) -> dict[str, Any]:
    """One run, in this process: its figures, and a digest of what the observers saw."""
    from subbyte.compiler.importer.convert import import_model

    graph = import_model(model)
    observers: dict[Value, Observer] = {
        layer.x: Together(histogram=Histogram(), moments=Moments(1)) for layer in layers(graph)
    }
    sample = graph.inputs[0].type.shape[1:]
    data = Data(lambda: images(samples, sample), processes=processes, progress=_progress)
    at_once = max(1, min(data.batch, SHOWN_BYTES // bytes_at_once(graph, tuple(observers))))
    batch = batched_for(graph, tuple(observers), at_once)[1]
    _forget_largest()
    base = _resident("VmRSS")
    start = time.perf_counter()
    data.observe(graph, observers, checkpoint)
    return {
        "seconds": time.perf_counter() - start,
        "batch": batch,
        "base_mib": base,
        "peak_mib": _resident("VmHWM") + (_largest_of_children() * processes if processes > 1 else 0),
        "bound_mib": _bound(graph, observers, batch, processes, base),
        "states": _digest(observers),
    }


def images(count: int, shape: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """Normal images from seeds, each made as it is asked for."""
    for number in range(count):
        yield np.random.default_rng(number).standard_normal(shape, np.float32)


def _bound(graph: Graph, observers: dict[Value, Observer], batch: int, processes: int, base: float) -> float:
    others = base * processes if processes > 1 else 0.0
    return bound(graph, observers, batch, processes) / _MEBIBYTE + others


def _resident(field: str) -> float:
    """VmRSS (now) or VmHWM (the largest since it was forgotten) of this process in MiB, as Linux says it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def _forget_largest() -> None:
    """Begin VmHWM anew: what was read to import the model is over."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def _largest_of_children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _digest(observers: dict[Value, Observer]) -> str:
    digest = hashlib.sha256()
    for observer in observers.values():
        for key, array in sorted(observer.state().items()):
            digest.update(key.encode() + array.tobytes())
    return digest.hexdigest()


def _progress(done: int, total: int | None) -> None:
    if done % 240 < 32:
        typer.echo(f"{done} samples", err=True)


def _finished(command: list[str]) -> dict[str, Any]:
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def _killed(command: list[str], checkpoint: Path, after: int) -> int:
    """Start the command, and kill it as soon as its checkpoint has seen `after` samples: how many it has."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    position = 0
    while running.poll() is None and position < after:
        time.sleep(0.2)
        if checkpoint.exists():
            with np.load(checkpoint) as stored:
                position = int(stored["position"])
    running.kill()
    running.wait()
    return position


if __name__ == "__main__":
    typer.run(main)
