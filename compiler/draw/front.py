"""What was traded, as pictures: loss over cost with the chosen assignment, and the bits of every layer as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from subbyte.compiler.draw.svg import COLOURS

_WIDTH, _HEIGHT = 720.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 20.0, 34.0, 52.0
_LINE, _CHOSEN, _UNIFORM, _TEXT = "#1c7ed6", "#e03131", "#868e96", "#212529"
_ROW, _NAMES, _BARS, _LONGEST = 20.0, 230.0, 400.0, 34


@dataclass(frozen=True)
class Point:
    """An assignment: what it costs, what it loses, and what shows beside it or under the pointer."""

    cost: float
    loss: float
    label: str = ""


@dataclass(frozen=True)
class Axis:
    """label: what is along it, with its unit: "latency [us]". logarithmic: equal ratios are equal distances."""

    label: str
    logarithmic: bool = False


def front_svg(
    title: str, cost: Axis, loss: Axis, front: Sequence[Point], *, chosen: Point | None = None,
    uniform: Sequence[Point] = (), limit: float | None = None,
) -> str:  # fmt: skip
    """One SVG document: the front as a staircase, uniform networks as squares with labels, the chosen one as a ring.

    limit: the budget, a dashed line. A logarithmic axis that has a point at 0 or below becomes a linear one.
    Raises: ValueError: there is no point at all, or one that is not finite.
    """
    points = [*front, *uniform, *([chosen] if chosen else [])]
    if not points or not all(math.isfinite(point.cost) and math.isfinite(point.loss) for point in points):
        raise ValueError(f"a picture of {len(points)} points cannot be drawn; one or more, all finite, are needed")
    costs = [point.cost for point in points] + ([] if limit is None or not math.isfinite(limit) else [limit])
    across = _Scale.over(costs, cost.logarithmic, _LEFT, _WIDTH - _RIGHT)
    up = _Scale.over([point.loss for point in points], loss.logarithmic, _HEIGHT - _BOTTOM, _TOP)
    parts = [f"<title>{escape(title)}</title>", _text(_LEFT, 18, title, size=14), *_frame(across, up, cost, loss)]
    if limit is not None and math.isfinite(limit):
        x = across.place(limit)
        dashes = f'stroke="{_TEXT}" stroke-dasharray="5 4"'
        described = f"<title>budget: {_number(limit)}</title>"
        parts.append(f'<path d="M{x:.1f},{_TOP} V{_HEIGHT - _BOTTOM}" {dashes}>{described}</path>')
    parts += _staircase(sorted(front, key=lambda point: point.cost), across, up)
    parts += [_mark(point, "front", across, up) for point in front]
    parts += [_mark(point, "uniform", across, up) for point in uniform]
    if chosen is not None:
        parts.append(_mark(chosen, "chosen", across, up))
    return _document(_WIDTH, _HEIGHT, parts)


def bits_svg(title: str, bits: Mapping[str, tuple[int, int]]) -> str:
    """One SVG document: for each layer a bar as long as its weights have bits, and a line where its activations end.

    bits: {layer: (bits of its weights, bits of the activations that it reads)}, in the order of the network.
    """
    most = max((max(pair) for pair in bits.values()), default=8)
    unit = _BARS / max(most, 8)
    parts = [f"<title>{escape(title)}</title>", _text(8, 18, title, size=14)]
    for k, (layer, (weights, activations)) in enumerate(bits.items()):
        top = _TOP + 6 + _ROW * k
        fill = next((fill for upto, (fill, _) in COLOURS.items() if weights <= upto), COLOURS[64][0])
        parts.append(f'<g class="layer"><title>{escape(layer)}: {weights} bits, reads {activations}</title>')
        parts.append(_text(_NAMES - 8, top + 12, _short(layer), anchor="end"))
        bar = f'x="{_NAMES}" y="{top:.1f}" width="{unit * weights:.1f}" height="{_ROW - 5}"'
        parts.append(f'<rect {bar} fill="{fill}" stroke="#495057"/>')
        parts.append(_text(_NAMES + 5, top + 12, str(weights)))
        x = _NAMES + unit * activations
        parts.append(f'<path d="M{x:.1f},{top - 1:.1f} v{_ROW - 3}" stroke="{_CHOSEN}" stroke-width="2"/></g>')
    bottom = _TOP + 6 + _ROW * len(bits)
    parts.append(_text(_NAMES, bottom + 16, "bits of weights (bars) and of the activations read (lines)"))
    return _document(_NAMES + _BARS + 20, bottom + 28, parts)


@dataclass(frozen=True)
class _Scale:
    """Values from `low` to `high` at the places from `start` to `end`."""

    low: float
    high: float
    logarithmic: bool
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], logarithmic: bool, start: float, end: float) -> _Scale:
        low, high = min(values), max(values)
        if logarithmic and low > 0:
            low, high = (low / 1.5, high * 1.5) if low == high else (low / 1.1, high * 1.1)
            return cls(low, high, True, start, end)
        margin = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low - margin, high + margin, False, start, end)

    def place(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers within."""
        if self.logarithmic and self.high / self.low >= 10:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            stride = 1 + len(powers) // 8
            return [10.0**power for power in powers[::stride]]
        step = 10 ** math.floor(math.log10((self.high - self.low) / 3))
        step = next(step * k for k in (1, 2, 5, 10) if (self.high - self.low) / (step * k) <= 7)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def _frame(across: _Scale, up: _Scale, cost: Axis, loss: Axis) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path d="M{_LEFT},{_TOP} V{bottom} H{right}" fill="none" stroke="{_TEXT}"/>']
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<path d="M{x:.1f},{bottom} v5" stroke="{_TEXT}"/>')
        parts.append(_text(x, bottom + 18, _number(tick), anchor="middle"))
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<path d="M{_LEFT},{y:.1f} h-5" stroke="{_TEXT}"/>')
        parts.append(_text(_LEFT - 8, y + 4, _number(tick), anchor="end"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 12, cost.label, anchor="middle", kind="axis"))
    middle = (_TOP + bottom) / 2
    turned = f' transform="rotate(-90 16 {middle:.1f})"'
    parts.append(_text(16, middle, loss.label, anchor="middle", kind="axis", more=turned))
    return parts


def _staircase(front: Sequence[Point], across: _Scale, up: _Scale) -> list[str]:
    """What a budget between two points buys is the point of the lower cost."""
    if len(front) < 2:
        return []
    path = f"M{across.place(front[0].cost):.1f},{up.place(front[0].loss):.1f}"
    for _, after in pairwise(front):
        path += f" H{across.place(after.cost):.1f} V{up.place(after.loss):.1f}"
    return [f'<path class="staircase" d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>']


def _mark(point: Point, kind: str, across: _Scale, up: _Scale) -> str:
    x, y = across.place(point.cost), up.place(point.loss)
    described = f"{point.label}\n" if point.label else ""
    title = f"<title>{escape(described)}cost {_number(point.cost)}, loss {_number(point.loss)}</title>"
    if kind == "uniform":
        square = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{_UNIFORM}"/>'
        return f'<g class="uniform">{title}{square}{_text(x + 7, y - 5, _short(point.label))}</g>'
    if kind == "chosen":
        ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" stroke="{_CHOSEN}" stroke-width="2.5"/>'
        return f'<g class="chosen">{title}{ring}{_text(x + 11, y + 14, _short(point.label))}</g>'
    return f'<g class="front">{title}<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_LINE}"/></g>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, kind: str = "", more: str = ""
) -> str:
    named = f' class="{kind}"' if kind else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_TEXT}"'
    return f"<text{named} {place}{more}>{escape(text)}</text>"


def _document(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif">'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _number(value: float) -> str:
    return f"{value:,.10g}" if float(value).is_integer() and abs(value) < 1e7 else f"{value:.4g}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"
