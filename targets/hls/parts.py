"""The FPGA parts that are known by name, and how much of one a design may take."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.targets.hls.resources import KINDS, Resources

SERIES_7, ULTRASCALE_PLUS = "7-series", "ultrascale+"


@dataclass(frozen=True)
class Part:
    """A device. name: without package and speed grade; family: `SERIES_7` (DSP48E1) or `ULTRASCALE_PLUS` (DSP48E2).

    typical_clock_mhz: what dataflow designs of this kind are usually closed at, the default clock. full_name: with
    package and speed grade, as the vendor's tools want it.
    """

    name: str
    family: str
    resources: Resources
    typical_clock_mhz: int
    full_name: str


# Source: AMD data sheets DS190 (Zynq-7000), DS180 (7 series), DS891 (Zynq UltraScale+), DS987 (K26). BRAM is in blocks
# of 18 kbit, two for each block of 36 kbit that the data sheets count.
PARTS = (
    Part("xc7z020", SERIES_7, Resources(53200, 106400, 220, 280, 0), 100, "xc7z020clg400-1"),
    Part("xc7a100t", SERIES_7, Resources(63400, 126800, 240, 270, 0), 100, "xc7a100tcsg324-1"),
    Part("xczu3eg", ULTRASCALE_PLUS, Resources(70560, 141120, 360, 432, 0), 200, "xczu3eg-sbva484-1-e"),
    Part("xczu7ev", ULTRASCALE_PLUS, Resources(230400, 460800, 1728, 624, 96), 200, "xczu7ev-ffvc1156-2-e"),
    Part("xck26", ULTRASCALE_PLUS, Resources(117120, 234240, 1248, 288, 64), 200, "xck26-sfvc784-2LV-c"),
)
DEFAULT_PART = "xc7z020"
# Placement and routing fail long before a part is full; the rest is also for what is not estimated: DMA, interconnect.
DEFAULT_SHARE = {"lut": 0.7, "ff": 0.7, "dsp": 0.9, "bram18": 0.85, "uram": 0.85}


def find_part(name: str) -> Part:
    """The part that `name` begins with, package and speed grade included: "xc7z020clg400-1" is an xc7z020.

    Raises: UnsupportedError: there is none.
    """
    asked = name.strip().lower()
    for part in sorted(PARTS, key=lambda part: len(part.name), reverse=True):
        rest = asked[len(part.name) :]
        if asked.startswith(part.name) and (not rest or re.fullmatch(r"-?[a-z]{2,}[0-9].*", rest)):
            return part if not rest else Part(part.name, part.family, part.resources, part.typical_clock_mhz, name)
    names = [part.name for part in PARTS]
    nearest = difflib.get_close_matches(asked[:8], names, 1, 0.0)[0]
    raise UnsupportedError(
        f"part '{name}' is not known; the nearest that is known is {nearest}, all are {', '.join(names)}. For another "
        "part name the nearest and give its numbers as the budget, such as "
        '{"lut": 20800, "ff": 41600, "dsp": 90, "bram18": 100, "uram": 0}.'
    )


def budget_of(part: Part, text: str | None = None) -> Resources:
    """How much of `part` a design may take.

    text: None for `DEFAULT_SHARE`; a fraction of every resource ("0.5"); or JSON of numbers by `resources.KINDS`, where
        those below or equal to 1 that are written with a point are fractions, and those left out keep their default.
    Raises: ModelError: it is none of these.
    """
    shares: dict[str, int | float] = dict(DEFAULT_SHARE)
    if text is not None:
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(f"the budget {text!r} is not JSON: {error}; {_WANTED}") from None
        shares = dict.fromkeys(KINDS, given) if _is_number(given) else _named(given, text)
    counts = {}
    for kind, available in part.resources.as_dict().items():
        share = shares.get(kind, DEFAULT_SHARE[kind])
        counts[kind] = int(share * available) if isinstance(share, float) else share
    return Resources(**counts)


_WANTED = (
    'a fraction of the part such as 0.7 is expected, or an object such as {"lut": 30000, "dsp": 0.5} of '
    f"{', '.join(KINDS)}"
)


def _is_number(value: object) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _named(given: object, text: str) -> dict[str, int | float]:
    """The shares and counts of a budget by name."""
    if not isinstance(given, dict):
        raise ModelError(f"the budget {text!r} is neither a fraction nor an object; {_WANTED}")
    found: dict[str, int | float] = {}
    for kind, value in given.items():
        if kind not in KINDS:
            raise ModelError(f"the budget {text!r} names '{kind}'; {_WANTED}")
        if not (_is_number(value) or (type(value) is int and value >= 0)):
            raise ModelError(f"the budget of {kind} is {value!r}; a whole number or a fraction in 0.0..1.0 is expected")
        found[kind] = value
    return found
