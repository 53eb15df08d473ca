"""Every sensitivity by its name, and how one is measured on samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.sensitivity.fisher import fisher
from subbyte.compiler.sensitivity.hessian import hessian
from subbyte.compiler.sensitivity.network import MakeGrid, Network, RoundWeights, minmax_grid, nearest_weights
from subbyte.compiler.sensitivity.orthogonality import ompq
from subbyte.compiler.sensitivity.outputs import kl, mse
from subbyte.compiler.sensitivity.pairs import pairs
from subbyte.compiler.sensitivity.relevance import relevance
from subbyte.compiler.sensitivity.types import Sensitivities

Sensitivity = Callable[..., Sensitivities]
"""A measure (network, *, seed=0, **its options)."""

SENSITIVITIES: Mapping[str, Sensitivity] = MappingProxyType(
    {
        "kl": kl,
        "mse": mse,
        "hessian": hessian,
        "fisher": fisher,
        "ompq": ompq,
        "relevance": relevance,
        "pairs": pairs,
    }
)
SAMPLES = 64
"""So many are used by default: more change the order of layers little."""


def measure(
    graph: Graph,
    data: Data,
    choices: Mapping[str, Sequence[Any]] | Sequence[Any],
    kind: str = "kl",
    *,
    round_weights: RoundWeights = nearest_weights,
    make_grid: MakeGrid = minmax_grid,
    samples: int | None = SAMPLES,
    seed: int = 0,
    backend: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Sensitivities:
    """{layer: {choice: loss}}: how much worse the float network `graph` becomes with one layer in fewer bits.

    Args:
        choices: by layer name, or the same for all layers: pairs (weight bits, activation bits), or anything with
            weight_bits and activation_bits; 32 bits stay in float.
        kind: a name of SENSITIVITIES; options: its own.
        samples: so many of `data` are used, the first ones; None: all.
        others: as in `Network`.
    Raises: ModelError: there is no such kind, layer or choice; a sample does not fit. ToolchainError: the kind needs
        torch, which is not installed.
    """
    if kind not in SENSITIVITIES:
        raise ModelError(f"there is no sensitivity '{kind}'; there are {', '.join(SENSITIVITIES)}")
    taken = list(islice(data.samples(graph), samples))
    stacked = {name: np.concatenate([sample[name] for sample in taken]) for name in taken[0]}
    network = Network(graph, stacked, choices, round_weights, make_grid, backend, progress)
    return SENSITIVITIES[kind](network, seed=seed, **options)
