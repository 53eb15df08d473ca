"""Interleaved timing: the engines take turns in blocks, so that all meet the same machine and its neighbours.

A round is one block of each engine; the engine that begins moves on by one every round. A block is a series of batches
of inferences, each long enough that the clock's own cost does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

BATCH_NS = 100_000
WARMUP_NS = 100_000_000
MIN_BATCHES = 5

Call = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """wall: [rounds][batches], cpu: [rounds], in nanoseconds for one inference. cpu is that of the whole process."""

    wall: tuple[NDArray[np.float64], ...]
    cpu: NDArray[np.float64]
    inferences: int

    @property
    def medians(self) -> NDArray[np.float64]:
        """[rounds]: the median of each block."""
        return np.array([np.median(block) for block in self.wall])

    def percentiles(self, shares: Sequence[float]) -> list[float]:
        """Of all batches of all rounds."""
        return [float(value) for value in np.percentile(np.concatenate(self.wall), shares)]


def interleave(calls: Mapping[str, Call], rounds: int, block_seconds: float) -> dict[str, Timing]:
    """Time every call in `rounds` rounds of blocks of about `block_seconds`."""
    sizes = {name: _warm_up(call, block_seconds) for name, call in calls.items()}
    names = list(calls)
    wall: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds):
        start = index % len(names)
        for name in names[start:] + names[:start]:
            batch, batches = sizes[name]
            before = time.process_time_ns()
            wall[name].append(_block(calls[name], batch, batches))
            cpu[name].append((time.process_time_ns() - before) / (batch * batches))
    return {
        name: Timing(tuple(wall[name]), np.array(cpu[name]), rounds * sizes[name][0] * sizes[name][1]) for name in names
    }


def ratios(subbyte: Timing, peers: Mapping[str, Timing]) -> tuple[NDArray[np.float64], list[str]]:
    """[rounds]: the faster peer's median over subbyte's, and which peer that was."""
    medians = np.stack([timing.medians for timing in peers.values()])
    names = list(peers)
    return medians.min(axis=0) / subbyte.medians, [names[index] for index in medians.argmin(axis=0)]


def _warm_up(call: Call, block_seconds: float) -> tuple[int, int]:
    """Run until caches, clock and allocators have settled; inferences a batch, batches a block."""
    start = time.perf_counter_ns()
    count = 0
    while (elapsed := time.perf_counter_ns() - start) < WARMUP_NS or count < 3:
        call()
        count += 1
    each = elapsed / count
    batch = max(1, round(BATCH_NS / each))
    return batch, max(MIN_BATCHES, round(block_seconds * 1e9 / (batch * each)))


def _block(call: Call, batch: int, batches: int) -> NDArray[np.float64]:
    """[batches] nanoseconds for one inference."""
    clock = time.perf_counter_ns
    times = np.empty(batches)
    for index in range(batches):
        start = clock()
        for _ in repeat(None, batch):
            call()
        times[index] = clock() - start
    return times / batch
