"""The user's own folding: JSON {layer: {"simd": .., "pe": .., "taps": .., "multiplier": ..}}.

Numbers that are left out are 1; a multiplier is "auto", which is meant where it is left out, "dsp" or "fabric".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from subbyte.compiler.errors import ModelError
from subbyte.targets.hls.actors import Multiplier
from subbyte.targets.hls.expand import taps_per_word
from subbyte.targets.hls.layers import Fold, Layer, Network, Sums

NUMBERS = ("simd", "pe", "taps")
FIELDS = (*NUMBERS, "multiplier")
MULTIPLIERS = {multiplier.value: multiplier for multiplier in Multiplier}


def folding_text(folding: Mapping[str, Fold]) -> str:
    """JSON, a layer in a line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(fields_of(fold))}" for name, fold in folding.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"


def fields_of(fold: Fold) -> dict[str, int | str]:
    """As a folding file has them; the multiplier only where it is not the tool's choice."""
    fields: dict[str, int | str] = {name: getattr(fold, name) for name in NUMBERS}
    if fold.multiplier is not Multiplier.AUTO:
        fields["multiplier"] = fold.multiplier.value
    return fields


def folding_from(text: str, where: str) -> dict[str, Fold]:
    """The folds that a text says; `where` it stands, for errors.  Raises: ModelError: it is no folding."""
    what = f"the folding in {where}"
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{what} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise ModelError(
            f'{what} is a {type(given).__name__}; an object {{"LAYER": {{"simd": 1, "pe": 1, "taps": 1}}}} is expected'
        )
    return {name: _fold(name, fields, what) for name, fields in given.items()}


def _fold(name: str, fields: Any, what: str) -> Fold:
    if not isinstance(fields, dict):
        raise ModelError(f"{what} gives layer '{name}' {fields!r}; an object of {', '.join(FIELDS)} is expected")
    for field, value in fields.items():
        if field not in FIELDS:
            raise ModelError(f"{what} gives layer '{name}' a '{field}'; layers have {', '.join(FIELDS)}")
        if field == "multiplier":
            if value not in MULTIPLIERS:
                raise ModelError(
                    f"{what} gives layer '{name}' a multiplier {value!r}; {', '.join(MULTIPLIERS)} are built"
                )
        elif type(value) is not int or value < 1:
            raise ModelError(f"{what} gives layer '{name}' {field} {value!r}; a whole number from 1 on is expected")
    return Fold(**{**fields, "multiplier": MULTIPLIERS[fields.get("multiplier", "auto")]})


def check_folding(network: Network, folding: Mapping[str, Fold]) -> None:
    """Raise ModelError where a fold names no layer, has more lanes than its layer, or taps that cannot be together."""
    layers = {layer.name: layer for layer in network.layers}
    for name, fold in folding.items():
        if name not in layers:
            raise ModelError(f"the folding names layer '{name}'; the layers are {', '.join(layers)}")
        _check(layers[name], fold)


def _check(layer: Layer, fold: Fold) -> None:
    rows = layer.y.channels if isinstance(layer, Sums) else 1
    for field, value, most in (("simd", fold.simd, layer.x.channels), ("pe", fold.pe, rows)):
        if value > most:
            raise ModelError(
                f"the folding gives layer '{layer.name}' {field} {value}; it has {most} at most, its "
                f"{'channels' if field == 'simd' else 'outputs'}"
            )
    if isinstance(layer, Sums):
        taps_per_word(layer.window, fold)
        if fold.taps > 1 and fold.simd != layer.x.channels:
            raise ModelError(
                f"the folding gives layer '{layer.name}' {fold.taps} taps and simd {fold.simd}; words of several taps "
                f"have all channels of each: simd {layer.x.channels}"
            )
    elif fold.taps > 1:
        raise ModelError(f"the folding gives layer '{layer.name}' {fold.taps} taps; only convolutions take several")
