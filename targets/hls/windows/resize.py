"""Resize: nearest neighbours from a buffer of one line (kernels/subbyte_hls_resize.h)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Resize
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, StreamType
from subbyte.targets.hls.texts import wrapped
from subbyte.targets.hls.trace import Trace, trace

_LATENCY = 4  # the word of x and where a word of y is, a memory's address and data registers, the write


def _ascending(values: tuple[int, ...], extent: int) -> bool:
    return len(values) > 0 and values[0] >= 0 and values[-1] < extent and all(a <= b for a, b in pairwise(values))


def _check(actor: Resize) -> None:
    """Raise GraphError where rows and columns are not those of y in x."""
    x, y = actor.x.type, actor.y.type
    wanted = replace(x, height=len(actor.rows), width=len(actor.columns)) if actor.rows and actor.columns else None
    if x.runs != 1 or y != wanted or not (_ascending(actor.rows, x.height) and _ascending(actor.columns, x.width)):
        raise GraphError(
            f"actor '{actor.name}' resizes {x} to {y} by rows {actor.rows} and columns {actor.columns}; they must "
            f"ascend within the frame, one for each row and column of y, and pixels of one run stay the same"
        )


def _steps(rows: tuple[int, ...]) -> list[int]:
    """Rows of x from one row of y to the next; to the first one more, since none has been read."""
    return [rows[0] + 1, *(after - before for before, after in pairwise(rows))]


def delay(x: StreamType, columns: tuple[int, ...]) -> int:
    """Iterations between a row's first read and the first write of the row of y: all of its words were read before."""
    words = x.words_per_run
    last = np.arange(len(columns)) * words
    return int((np.array(columns) * words + 1 - last).max(initial=1))


def _lengths(x: StreamType, columns: tuple[int, ...]) -> tuple[int, int]:
    """Iterations of a row of y that reads its row of x, and of one that repeats it."""
    written = len(columns) * x.words_per_run
    return max(x.width * x.words_per_run, delay(x, columns) + written), written


def resize_iterations(x: StreamType, rows: tuple[int, ...], columns: tuple[int, ...]) -> int:
    """Of a frame: rows of y that read their row of x, those that repeat it, and rows of x that are dropped."""
    fresh = len(set(rows))
    of_fresh, of_repeated = _lengths(x, columns)
    dropped = (x.height - fresh) * x.width * x.words_per_run
    return fresh * of_fresh + (len(rows) - fresh) * of_repeated + dropped


@trace.register
def trace_resize(actor: Resize) -> Trace:
    _check(actor)
    x = actor.x.type
    line, written = x.width * x.words_per_run, len(actor.columns) * x.words_per_run
    of_fresh, of_repeated = _lengths(x, actor.columns)
    steps = np.array(_steps(actor.rows))
    lengths = np.where(steps > 0, of_fresh, of_repeated)
    before = np.maximum(steps - 1, 0) * line  # dropped words
    starts = np.cumsum(before + lengths) - lengths
    writes = starts + np.where(steps > 0, delay(x, actor.columns), 0)
    fresh = np.flatnonzero(steps > 0)
    reads = [np.arange(starts[row] - before[row], starts[row] + line) for row in fresh]
    end = int(starts[-1] + lengths[-1])
    rest = (x.height - 1 - actor.rows[-1]) * line
    reads.append(np.arange(end, end + rest))
    of_y = (writes[:, None] + np.arange(written)).reshape(-1)
    return Trace(end + rest, (np.concatenate(reads),), (of_y,), _LATENCY)


@instance.register
def instance_resize(actor: Resize) -> Instance:
    _check(actor)
    x, y = actor.x.type, actor.y.type
    starts = [column * x.words_per_run for column in actor.columns]
    steps = _steps(actor.rows)
    bits = max(steps).bit_length(), max(1, starts[-1].bit_length())
    extents = f"{x.word_bits}, {x.height}, {x.width}, {x.words_per_run}, {y.height}, {y.width}"
    iterations = resize_iterations(x, actor.rows, actor.columns)
    return Instance(
        headers=("subbyte_hls_resize.h",),
        constants=_array(f"{actor.name}_steps", steps, bits[0]) + _array(f"{actor.name}_starts", starts, bits[1]),
        body=(
            f"subbyte_hls::resize_nearest<{extents}, {delay(x, actor.columns)}, {iterations}>("
            f"in0, out0, {actor.name}_steps, {actor.name}_starts);"
        ),
        comment=(f"y[r][c] = x[rows[r]][columns[c]], {x.height}x{x.width} to {y.height}x{y.width} pixels",),
    )


def _array(name: str, values: list[int], bits: int) -> str:
    return f"static const ap_uint<{bits}> {name}[{len(values)}] = {{\n{wrapped(map(str, values), '    ')}}};\n"


@reference.register
def reference_resize(actor: Resize, x: Codes) -> tuple[Codes, ...]:
    _check(actor)
    kind = actor.x.type
    frame = x.reshape(kind.height, kind.width, kind.channels)
    picked = frame[np.array(actor.rows)][:, np.array(actor.columns)]
    return (picked.reshape(actor.y.type.pixels, 1, kind.channels),)
