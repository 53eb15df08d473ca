"""The choice of folds as a problem in integers: options of layers, prices between neighbours, a budget, a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from subbyte.targets.hls.layers import Fold
from subbyte.targets.hls.resources import NONE, Resources


@dataclass(frozen=True)
class Option:
    """A layer under a fold. reads, writes: codes in a word of its inputs, of its outputs; the rest as layers.Work."""

    fold: Fold
    cycles: int
    resources: Resources
    reads: int
    writes: int
    first: int = 0
    tail: int = 0
    needs: float = 0.0


@dataclass(frozen=True)
class Price:
    """Of words that become other words between two layers, and of the FIFOs there."""

    cycles: int
    resources: Resources


@dataclass(frozen=True, eq=False)
class Edge:
    """A frame from one layer to another, by their numbers. price: by the lanes that one writes and the other reads."""

    writer: int
    reader: int
    price: Callable[[int, int], Price]


@dataclass(frozen=True, eq=False)
class Problem:
    """names, options: of each layer; edges between layers; fixed: what is taken whatever is chosen.

    least_cycles: of a frame on the bus, whatever is chosen. weights: what a part has of each resource, in which shares
    are counted.
    """

    names: tuple[str, ...]
    options: tuple[tuple[Option, ...], ...]
    edges: tuple[Edge, ...]
    budget: Resources
    weights: Resources
    fixed: Resources = NONE
    least_cycles: int = 1

    def chosen(self, choice: Sequence[int]) -> tuple[Option, ...]:
        return tuple(options[index] for options, index in zip(self.options, choice, strict=True))

    def price(self, edge: Edge, choice: Sequence[int]) -> Price:
        writer = self.options[edge.writer][choice[edge.writer]]
        reader = self.options[edge.reader][choice[edge.reader]]
        return edge.price(writer.writes, reader.reads)

    def resources(self, choice: Sequence[int]) -> Resources:
        """All that `choice` takes."""
        found = self.fixed
        for option in self.chosen(choice):
            found += option.resources
        for edge in self.edges:
            found += self.price(edge, choice).resources
        return found

    def cycles(self, choice: Sequence[int]) -> int:
        """Cycles between two frames: those of the slowest layer, conversion or bus."""
        of_layers = (option.cycles for option in self.chosen(choice))
        of_edges = (self.price(edge, choice).cycles for edge in self.edges)
        return max([self.least_cycles, *of_layers, *of_edges])

    def latency(self, choice: Sequence[int]) -> int:
        """Cycles from the first word of a frame in to its last word out, where no FIFO is ever full: a model.

        o[v] and f[v] are when layer v writes its first and its last word, between which it writes evenly; over the
        layers u before v, with first, tail, cycles and needs of v's option:

            o[v] = max(o[u] + first, (1 - needs) * o[u] + needs * f[u])        f[v] = max(o[u] + cycles, f[u] + tail)

        The bus writes and reads a frame in least_cycles.
        """
        first, last = [0.0] * len(self.options), [0.0] * len(self.options)
        for v, option in enumerate(self.chosen(choice)):
            before = [(first[edge.writer], last[edge.writer]) for edge in self.edges if edge.reader == v]
            for begin, end in before or [(0.0, float(self.least_cycles))]:
                first[v] = max(first[v], begin + option.first, (1 - option.needs) * begin + option.needs * end)
                last[v] = max(last[v], begin + option.cycles, end + option.tail)
        return ceil(max(last, default=self.least_cycles) - 1e-6)

    def share(self, used: Resources) -> float:
        """The sum of the shares of a part: what is minimized."""
        pairs = zip(used.counts, self.weights.counts, strict=True)
        return sum(count / available for count, available in pairs if available)
