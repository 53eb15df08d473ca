"""How much worse a network becomes when one layer gets fewer bits: one interface, several measures.

`measure(graph, data, choices, kind)` is what an integer program wants to know: {layer: {choice: loss}}.
"""

from __future__ import annotations

from subbyte.compiler.sensitivity.measure import SENSITIVITIES, measure
from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.types import Sensitivities

__all__ = ["SENSITIVITIES", "Network", "Sensitivities", "measure"]
