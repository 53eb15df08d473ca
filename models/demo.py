"""Compile the shipped residual digit classifier, run it on the held images, and set it beside onnxruntime.

pip install '.[verify]' && python models/demo.py        (`make demo` does both)
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import subbyte
from digits_data import FOLDER, Array, read_test_digits

MODEL = FOLDER / "digits_resnet_int8.onnx"
BUNDLE = FOLDER.parent / "bundles" / "digits_resnet_int8"
ROUNDS = 25
RUNS_A_ROUND = 200
INTERPRETED = 20  # images that the interpreter, which is slow, answers too

Engine = Callable[[Array], Array]  # image [1,1,8,8] float32 to logits [1,10] float32


def onnxruntime_engine(*, int8: bool) -> Engine:
    """onnxruntime on one thread. int8: allow its int8 kernels; on x86 it computes int8 QDQ in float unless told so."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    def run(image: Array) -> Array:
        logits: Array = session.run(None, {"input": image})[0]
        return logits

    return run


def subbyte_engine(module: subbyte.Module) -> Engine:
    """The compiled model, called from Python as onnxruntime is."""

    def run(image: Array) -> Array:
        logits: Array = module.run({"input": image})["logits"]
        return logits

    return run


def seconds_a_run(engine: Engine, image: Array) -> float:
    start = time.perf_counter()
    for _ in range(RUNS_A_ROUND):
        engine(image)
    return (time.perf_counter() - start) / RUNS_A_ROUND


def latencies(engines: dict[str, Engine], image: Array) -> dict[str, Array]:
    """Microseconds a run, [ROUNDS] for each engine; the engines take turns so that both meet the same machine."""
    rounds = [{name: seconds_a_run(engine, image) for name, engine in engines.items()} for _ in range(ROUNDS + 1)]
    warm = rounds[1:]
    return {name: 1e6 * np.array([seconds[name] for seconds in warm]) for name in engines}


def processor_name() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def results(logits: dict[str, Array], microseconds: dict[str, Array], labels: Array) -> Table:
    """Accuracy and latency of each engine, one row each."""
    table = Table(title=f"{MODEL.name} on {len(labels)} held images of handwritten digits")
    table.add_column("engine")
    for heading in ("accuracy", "median latency", "p10 to p90"):
        table.add_column(heading, justify="right")
    for name, answers in logits.items():
        low, median, high = np.percentile(microseconds[name], (10, 50, 90))
        accuracy = np.mean(answers.argmax(1) == labels)
        table.add_row(name, f"{accuracy:.2%}", f"{median:.2f} µs", f"{low:.2f} to {high:.2f} µs")
    return table


def facts(logits: dict[str, Array], meaning: Array) -> Table:
    """How the logits compare with the interpreter's and onnxruntime's, and what was written where."""
    ours = logits["subbyte"]
    against_meaning = np.count_nonzero(ours[: len(meaning)] != meaning)
    against_onnxruntime = np.count_nonzero(ours != logits["onnxruntime"])
    library = (BUNDLE / "libmodel.so").stat().st_size
    everything = sum(file.stat().st_size for file in BUNDLE.rglob("*") if file.is_file())
    table = Table.grid(padding=(0, 2))
    table.add_row("machine", f"{processor_name()}, one thread, {ROUNDS} interleaved rounds of {RUNS_A_ROUND} runs")
    table.add_row("interpreter", f"{against_meaning} of {meaning.size} logits differ (first {len(meaning)} images)")
    table.add_row("onnxruntime", f"{against_onnxruntime} of {ours.size} logits differ")
    table.add_row("bundle", f"{library / 1024:.1f} KiB library, {everything / 1024:.1f} KiB with its C sources")
    table.add_row("it lies in", str(BUNDLE.relative_to(FOLDER.parent)))
    return table


def main() -> None:
    console = Console()
    with console.status(f"compiling {MODEL.name} for this machine"):
        module = subbyte.compile(MODEL, target="native")
        module.save(BUNDLE)
    test = read_test_digits()
    images = test.images[:, np.newaxis]
    engines = {
        "subbyte": subbyte_engine(module),
        "onnxruntime": onnxruntime_engine(int8=False),
        "onnxruntime, int8 allowed": onnxruntime_engine(int8=True),
    }
    with console.status("running"):
        logits = {name: np.concatenate([engine(image) for image in images]) for name, engine in engines.items()}
        interpreted = [subbyte.evaluate(MODEL, {"input": image})["logits"] for image in images[:INTERPRETED]]
    with console.status("measuring"):
        microseconds = latencies(engines, images[0])
    console.print(results(logits, microseconds, test.labels))
    console.print(facts(logits, np.concatenate(interpreted)))


if __name__ == "__main__":
    main()
