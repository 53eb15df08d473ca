"""One row in this process: `python -m benchmarks.suite.measure_row SUITE ROW ...`, started by benchmarks.suite."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.agreement import agreements
from benchmarks.engines import Engine, subbyte_engine
from benchmarks.isa_mask import answered, trap_in_force
from benchmarks.machine import machine, programs
from benchmarks.measure import Timing, interleave
from benchmarks.peers import PeerRefusal, peer_engine
from benchmarks.suite.cache import bundle, model_file
from benchmarks.suite.macs import file_macs
from benchmarks.suite.rows import SUITES, Entrant, Network, Row
from benchmarks.suite.verdict import fastest, judge
from subbyte.compiler.compare import output_scales
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.runtime import Module
from subbyte.compiler.samples import Samples, random_samples, read_samples
from subbyte.compiler.target import find_target

_COMPARED_SAMPLES = 16


class RowError(Exception):
    """A row that would say nothing: constant outputs, nobody to compare with, a mask that hid nothing."""


@dataclass(frozen=True)
class Settings:
    """cpu: the processor that one-threaded rows are pinned to, None for any. verify: ask the interpreter first."""

    rounds: int = 11
    block_ms: float = 100
    cpu: int | None = None
    compiler: str | None = None
    cache: str = ""
    verify: bool = False
    prepare_only: bool = False


@dataclass(frozen=True)
class Subject:
    """A network's file, and samples for it: a built one's calibration input and its mirror image."""

    path: Path
    samples: Samples
    scales: Mapping[str, float | None]


def measure_row(row: Row, settings: Settings) -> dict[str, Any]:
    """Build, compare answers, time, judge; what the table says about `row`, JSON-able.

    Raises: RowError; MissingModel; SubbyteError.
    """
    folder = Path(settings.cache)
    files = {entrant.network: model_file(entrant.network, folder / "models") for entrant in row.entrants}
    modules = {
        entrant.network: bundle(files[entrant.network], row.target, settings.compiler, folder / "bundles")
        for entrant in row.entrants
        if entrant.engine == "subbyte"
    }
    if settings.prepare_only:
        return {"row": row.name}
    subjects = {
        network: _subject(path, modules.get(network) or next(iter(modules.values()))) for network, path in files.items()
    }
    if settings.cpu is not None and all(entrant.threads == 1 for entrant in row.entrants):
        os.sched_setaffinity(0, {settings.cpu})
    engines, notes = _engines(row, files, modules)
    for network in modules:
        first = next(e for e in row.entrants if e.engine == "subbyte" and e.network == network)
        refuse_constants(engines[first.name], subjects[network].samples)
        if settings.verify:
            _verify(engines[first.name], subjects[network])
    found = _agreements(row, engines, subjects)
    for entrant in row.entrants:
        if entrant.name in engines:
            engines[entrant.name].load(_first(subjects[entrant.network].samples))
    calls = {name: engine.call for name, engine in engines.items()}
    timings = interleave(calls, settings.rounds, settings.block_ms / 1000)
    if row.isa != "native" and not answered():
        raise RowError("no engine asked for the processor's instruction sets: what they ran on is not known")
    verdicts = [verdict for comparison in row.comparisons if (verdict := judge(comparison, timings)) is not None]
    if not verdicts:
        raise RowError(f"no peer is left to compare with: {' '.join(notes)}")
    int8_peers = {e.name: timings[e.name] for e in row.entrants if e.engine != "subbyte" and e.name in timings}
    return {
        "row": row.name,
        "title": row.title,
        "isa": row.isa,
        "hidden_by": trap_in_force(),
        "settings": asdict(settings) | {"cache": None},
        "machine": machine(),
        "programs": programs(find_target(row.target), settings.compiler),
        "entrants": {
            e.name: _entrant_data(e, files[e.network], modules, timings[e.name], engines[e.name])
            for e in row.entrants
            if e.name in engines
        },
        "comparisons": [asdict(verdict) | {"verdict": verdict.word} for verdict in verdicts],
        "fastest_peer": fastest(int8_peers) if int8_peers else None,
        "verified": settings.verify,
        "agreement": found,
        "notes": notes,
    }


def refuse_constants(engine: Engine, samples: Samples) -> None:
    """Raises RowError: an output is the same everywhere, or the same for all samples: nothing need be computed then."""
    answers = [engine.run(sample) for sample in samples]
    for name in answers[0]:
        values = np.stack([answer[name].astype(np.float64) for answer in answers])
        if not values.std() > 0 or (len(values) > 1 and not (values != values[0]).any()):
            raise RowError(f"the output '{name}' is constant; a network that computes nothing is not measured")


def _subject(path: Path, module: Module) -> Subject:
    types = {tensor.name: TensorType(tensor.dtype, tensor.shape) for tensor in module.inputs}
    beside = path.with_suffix(".npz")
    samples = read_samples(beside, types) if beside.is_file() else random_samples(types, 4)
    count = min(samples.count, _COMPARED_SAMPLES)
    kept = Samples({name: np.ascontiguousarray(array[:count]) for name, array in samples.arrays.items()}, count)
    return Subject(path, kept, output_scales(quantized(path, Options())))


def _engines(
    row: Row, files: Mapping[Network, Path], modules: Mapping[Network, Module]
) -> tuple[dict[str, Engine], list[str]]:
    engines, notes = {}, []
    for entrant in row.entrants:
        try:
            if entrant.engine == "subbyte":
                engine = subbyte_engine(modules[entrant.network], entrant.threads)
            else:
                engine = peer_engine(entrant.engine, files[entrant.network], entrant.threads)
        except PeerRefusal as refusal:
            notes.append(f"{entrant.name} is not measured: {refusal}.")
        else:
            engines[entrant.name] = replace(engine, name=entrant.name)
    return engines, notes


def _verify(engine: Engine, subject: Subject) -> None:
    graph = quantized(subject.path)
    sample = _first(subject.samples)
    for name, expected in evaluate(graph, sample).items():
        if engine.run(sample)[name].tobytes() != expected.tobytes():
            raise RowError(f"the output '{name}' of {subject.path.name} is not what the interpreter says")


def _agreements(row: Row, engines: Mapping[str, Engine], subjects: Mapping[Network, Subject]) -> list[dict[str, Any]]:
    """Beside the first subbyte of each network, all others that run the same."""
    found = []
    for network, subject in subjects.items():
        names = [e.name for e in row.entrants if e.network == network and e.name in engines]
        ours = [e.name for e in row.entrants if e.network == network and e.engine == "subbyte"]
        if ours:
            others = [engines[name] for name in names if name != ours[0]]
            about = {"model": network.name, "samples": subject.samples.count}
            apart = agreements(engines[ours[0]], others, subject.samples, subject.scales)
            found += [{**about, **asdict(agreement)} for agreement in apart]
    return found


def _entrant_data(
    entrant: Entrant, path: Path, modules: Mapping[Network, Module], timing: Timing, engine: Engine
) -> dict[str, Any]:
    low, median, high = timing.percentiles((10, 50, 90))
    is_ours = entrant.engine == "subbyte"
    macs = sum(step["macs"] for step in modules[entrant.network].manifest["steps"]) if is_ours else file_macs(path)
    return {
        "engine": entrant.engine,
        "model": entrant.network.name,
        "threads": entrant.threads,
        "macs": macs,
        "median_us": median / 1000,
        "p10_us": low / 1000,
        "p90_us": high / 1000,
        "cpu_us": float(np.median(timing.cpu)) / 1000,
        "gmac_per_s": macs / median,
        "inferences": timing.inferences,
        "median_us_by_round": (timing.medians / 1000).tolist(),
        "facts": dict(engine.facts),
    }


def _first(samples: Samples) -> dict[str, Any]:
    return next(iter(samples))


def main(suite: str, name: str, settings: str, output: str) -> None:
    (row,) = (row for row in SUITES[suite] if row.name == name)
    Path(output).write_text(json.dumps(measure_row(row, Settings(**json.loads(settings)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
