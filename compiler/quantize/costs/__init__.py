"""What bits cost, layer by layer: counted, by the model of the target's kernels, or measured on the device at hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from subbyte.compiler.quantize.costs.cost import Cost
from subbyte.compiler.quantize.costs.counts import AVERAGE_BITS, BOPS, MACS, WEIGHT_BYTES
from subbyte.compiler.quantize.costs.instructions import INSTRUCTIONS
from subbyte.compiler.quantize.costs.measured_latency import MEASURED_LATENCY
from subbyte.compiler.quantize.costs.modelled_time import MODELLED_TIME

COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        cost.name: cost
        for cost in (WEIGHT_BYTES, AVERAGE_BITS, BOPS, MACS, INSTRUCTIONS, MODELLED_TIME, MEASURED_LATENCY)
    }
)
"""All costs by name."""
