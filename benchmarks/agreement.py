"""Whether the engines answer the same: speed of wrong answers is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Engine
from subbyte.compiler.compare import compare
from subbyte.compiler.samples import Samples


@dataclass(frozen=True)
class Agreement:
    """A peer's answers beside subbyte's over all samples and outputs; steps of the output's scale, None without one."""

    engine: str
    values: int
    different: int
    max_steps: float | None
    max_abs: float
    top1: float | None


def agreements(
    subbyte: Engine, peers: Sequence[Engine], samples: Samples, scales: Mapping[str, float | None]
) -> list[Agreement]:
    """Each peer beside subbyte."""
    ours = _answers(subbyte, samples)
    return [_agreement(peer.name, ours, _answers(peer, samples), scales) for peer in peers]


def _answers(engine: Engine, samples: Samples) -> dict[str, NDArray[Any]]:
    results = [engine.run(sample) for sample in samples]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _agreement(
    name: str,
    ours: Mapping[str, NDArray[Any]],
    theirs: Mapping[str, NDArray[Any]],
    scales: Mapping[str, float | None],
) -> Agreement:
    found = [compare(theirs[output], ours[output], scales[output]) for output in ours]
    steps = [each.max_steps for each in found if each.max_steps is not None]
    top1 = [each.top1_agreement for each in found if each.top1_agreement is not None]
    return Agreement(
        name,
        sum(each.count for each in found),
        sum(each.different for each in found),
        max(steps, default=None),
        max(each.max_abs for each in found),
        min(top1, default=None),
    )
