"""One C++ program out of many actors, each alone with its streams: what it writes, and in which iterations it moves.

`check` compares all of it with `reference` and `trace`; every frame is run after the one before, as in a design.
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subbyte.targets.hls.actors import Actor
from subbyte.targets.hls.instance import instance
from subbyte.targets.hls.reference import reference, words_of
from subbyte.targets.hls.streams import Codes, Stream
from subbyte.targets.hls.trace import trace

HLS = Path(str(importlib.util.find_spec("subbyte.targets.hls").submodule_search_locations[0]))  # type: ignore[union-attr,index]
_INSTRUMENTED = Path(__file__).parent / "instrumented"
STAND_IN = HLS / "csim" / "include"
"""Of our own ap_int.h."""
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

Frames = tuple[Codes, ...]
WordsOf = Callable[[Codes, Stream], list[int]]


def plain_words(frame: Codes, stream: Stream) -> list[int]:
    """The words of a frame in the order of plain streams."""
    return words_of(frame, stream.type)


@dataclass(frozen=True)
class Case:
    """An actor and frames for its inputs, one tuple for each run; words: how frames become words."""

    actor: Actor
    runs: tuple[Frames, ...]
    words: WordsOf = plain_words


def random_frame(stream: Stream, generator: np.random.Generator) -> Codes:
    """Codes of the whole range, both ends among them where there is room: int64 [pixels, runs, channels]."""
    of_type = stream.type
    element = of_type.element
    frame = generator.integers(element.low, element.high + 1, (of_type.pixels, of_type.runs, of_type.channels))
    frame.reshape(-1)[[0, -1]] = element.low, element.high
    return np.where(frame > 0, 1, -1) if element.bipolar else np.asarray(frame)


def random_case(actor: Actor, runs: int = 3, seed: int = 0, words: WordsOf = plain_words) -> Case:
    """`actor` on `runs` random frames."""
    generator = np.random.default_rng(seed)
    frames = tuple(tuple(random_frame(stream, generator) for stream in actor.inputs) for _ in range(runs))
    return Case(actor, frames, words)


def source_of(cases: Sequence[Case]) -> str:
    """The program: a function for each actor, as a project prints it, and a main that runs them all."""
    instances = [instance(case.actor) for case in cases]
    headers = dict.fromkeys(header for one in instances for header in one.headers)
    text = ['#include "actor_program.h"', *(f'#include "{header}"' for header in headers), ""]
    calls = []
    for case, one in zip(cases, instances, strict=True):
        actor = case.actor
        streams = [(f"in{port}", s) for port, s in enumerate(actor.inputs)]
        outputs = [(f"out{port}", s) for port, s in enumerate(actor.outputs)]
        parameters = ", ".join(f"hls::stream<{s.type.c_type} >& {name}" for name, s in streams + outputs)
        text += [one.constants, *(f"// {line}" for line in one.comment)]
        text += [f"static void {actor.name}({parameters}) {{", f"    {one.body}", "}"]
        text += [f"static void run_{actor.name}() {{"]
        text += [f"    hls::stream<{s.type.c_type} > {name};" for name, s in streams + outputs]
        text += [f"    for (int frame = 0; frame < {len(case.runs)}; ++frame) {{"]
        for port, (name, _) in enumerate(streams):
            count = len(case.words(case.runs[0][port], actor.inputs[port]))
            text += [f"        for (int i = 0; i < {count}; ++i) load({name});"]
        text += ["        subbyte_cycles::iteration() = -1;"]
        text += [f"        {actor.name}({', '.join(name for name, _ in streams + outputs)});"]
        text += ['        std::printf("iterations %lld\\n", subbyte_cycles::iteration() + 1);']
        text += [f"        print_reads({name});" for name, _ in streams]
        text += [f"        print_writes({name});" for name, _ in outputs]
        text += ["    }", "}"]
        calls.append(f"    run_{actor.name}();")
    return "\n".join([*text, "int main() {", *calls, "    return 0;", "}", ""])


def build(cases: Sequence[Case], folder: Path, ap_int: Path = STAND_IN, flags: Sequence[str] = ()) -> Path:
    """The program of `cases`, compiled with the ap_int.h of folder `ap_int`."""
    source = folder / "actors.cpp"
    source.write_text(source_of(cases), encoding="ascii")
    program = folder / "actors"
    include = (f"-I{_INSTRUMENTED}", f"-I{HLS / 'kernels'}", f"-isystem{ap_int}")
    defines = ("-DSUBBYTE_HLS_CYCLES", "-Wall", "-Werror", "-Wno-unknown-pragmas")
    command = ("g++", "-std=c++14", "-O1", *defines, *flags, *include, "-o", str(program), str(source))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return program


def check(cases: Sequence[Case], program: Path) -> None:
    """Assert that the program's words, iterations, reads and writes are what reference and trace say."""
    given = [
        f"{word:x}"
        for case in cases
        for run in case.runs
        for port, stream in enumerate(case.actor.inputs)
        for word in case.words(run[port], stream)
    ]
    done = subprocess.run((str(program),), input="\n".join(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[:2000]
    lines = iter(done.stdout.splitlines())
    for case in cases:
        told = trace(case.actor)
        for run in case.runs:
            where = f"{case.actor.name}: {type(case.actor).__name__}"
            assert _numbers(lines, "iterations") == [told.iterations], where
            for reads in told.reads:
                assert _numbers(lines, "reads") == reads.tolist(), where
            for stream, frame, writes in zip(case.actor.outputs, reference(case.actor, *run), told.writes, strict=True):
                assert _numbers(lines, "writes") == writes.tolist(), where
                assert _numbers(lines, "words", 16) == case.words(frame, stream), f"{where} {stream}"
    assert next(lines, None) is None


def _numbers(lines: Iterator[str], what: str, base: int = 10) -> list[int]:
    found, *numbers = next(lines).split()
    assert found == what
    return [int(number, base) for number in numbers]
