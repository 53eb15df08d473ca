"""The files of report/: what a program reads, and what a person reads."""

from __future__ import annotations

import json

from subbyte.targets.hls.estimate.design import Estimate
from subbyte.targets.hls.estimate.page import page, table
from subbyte.targets.hls.folding.choose import FoldingResult
from subbyte.targets.hls.folding.read import fields_of, folding_text
from subbyte.targets.hls.layers import Flattening, Fold, Layer, Network

FOLDING_FILE = "report/folding.json"


def report_files(found: Estimate, folding: FoldingResult, network: Network) -> dict[str, str]:
    """estimate.json (Estimate.as_dict, and "folding"), estimate.md, and folding.json, which `--folding` takes back."""
    as_json = {
        **found.as_dict(),
        "folding": {
            "met": folding.met,
            "reasons": list(folding.reasons),
            "layers": {layer.name: _fold(layer, folding) for layer in _folded(network)},
        },
    }
    return {
        "report/estimate.json": json.dumps(as_json, indent=2) + "\n",
        "report/estimate.md": page(found, folding.reasons) + _layers(found, folding, network),
        FOLDING_FILE: folding_text({layer.name: _of(layer, folding) for layer in _folded(network)}),
    }


def _folded(network: Network) -> list[Layer]:
    return [layer for layer in network.layers if not isinstance(layer, Flattening)]


def _of(layer: Layer, folding: FoldingResult) -> Fold:
    return folding.folding.get(layer.name, Fold())


def _fold(layer: Layer, folding: FoldingResult) -> dict[str, object]:
    return {**fields_of(_of(layer, folding)), "sources": list(layer.sources)}


def _layers(found: Estimate, folding: FoldingResult, network: Network) -> str:
    """The folds, and the cycles of each layer's own actors."""
    rows = []
    for layer in _folded(network):
        fold = _of(layer, folding)
        own = {layer.name, f"{layer.name}_window"}
        cycles = max((row.cycles for row in found.actors if row.name in own), default=0)
        fields = (fold.simd, fold.pe, fold.taps, fold.multiplier.value, cycles, ", ".join(layer.sources))
        rows.append((layer.name, type(layer).__name__, *fields))
    said = f"Change `{FOLDING_FILE}` and compile with `--folding` to fold otherwise."
    header = ("layer", "kind", "SIMD", "PE", "taps", "multipliers", "cycles", "computes")
    return f"\n## Folding\n\n{table(header, rows)}\n\n{said}\n"
