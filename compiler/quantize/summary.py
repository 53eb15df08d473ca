"""What a quantized model is, in numbers: for the command line, and for the report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.plan import QuantizedWeights
from subbyte.compiler.quantize.quantize import Quantized


def summary(result: Quantized) -> dict[str, Any]:
    """{layers: [{name, op, weights, macs, weight_bits, activation_bits, snr_db}], costs: {NAME: {value, limit}}, ...}.

    snr_db: 10 log10 of the energy of the float weights by that of what rounding changed; None where nothing changed.
    """
    found = layers(result.float_graph)
    rows: list[dict[str, Any]] = []
    for layer in found:
        choice = result.choices[layer.name]
        rows.append(
            {
                "name": layer.name,
                "op": type(layer.node).__name__,
                "weights": int(layer.weights.size),
                "macs": multiply_accumulates(layer.node),
                "weight_bits": choice.weight_bits,
                "activation_bits": choice.activation_bits,
                "snr_db": _signal_to_noise(layer.weights, result.plan.weights[layer.name]),
            }
        )
    weights = sum(row["weights"] for row in rows)
    costs = {}
    if result.assigned is not None:
        assigned = result.assigned
        costs = {
            name: {"value": assigned.assignment.costs[name], "limit": limit}
            for name, limit in assigned.problem.budgets.items()
        }
    return {
        "layers": rows,
        "average_weight_bits": sum(row["weights"] * row["weight_bits"] for row in rows) / weights,
        "weight_bytes": sum(-(-row["weights"] * row["weight_bits"] // 8) for row in rows),
        "costs": costs,
        "recipe": result.recipe.as_dict(),
        "samples": result.samples,
        "calibration": result.digest,
        "notes": list(result.notes),
    }


def _signal_to_noise(weights: Any, rounded: QuantizedWeights) -> float | None:
    values = rounded.values()
    noise = float(np.sum((values - weights.astype(np.float64)) ** 2))
    signal = float(np.sum(weights.astype(np.float64) ** 2))
    return 10 * math.log10(signal / noise) if noise and signal else None
