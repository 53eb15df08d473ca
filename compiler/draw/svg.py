"""A graph as an SVG picture: boxes in the colour of the bits of their weights or results, arrows in that of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from subbyte.compiler.draw.layout import Drawing, layered
from subbyte.compiler.dtype import DType
from subbyte.compiler.explain import Layer, layer_of
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.widths import narrowest_type
from subbyte.compiler.target import Target

COLOURS = {
    # widest number of bits: (fill of a box, stroke of an arrow); floats have a colour of their own
    1: ("#b7e4c7", "#2d6a4f"),
    2: ("#d8f3dc", "#40916c"),
    4: ("#d0ebff", "#1c7ed6"),
    8: ("#dbe4ff", "#4263eb"),
    16: ("#e5dbff", "#7048e8"),
    64: ("#e9ecef", "#868e96"),
}
FLOAT = ("#ffc9c9", "#e03131")
_CHARACTER, _HEIGHT, _LONGEST = 6.7, 52.0, 34


@dataclass(frozen=True)
class _Box:
    lines: tuple[str, ...]
    title: str
    fill: str

    @property
    def width(self) -> float:
        return 18 + _CHARACTER * max(len(line) for line in self.lines)


def colours(dtype: DType) -> tuple[str, str]:
    """(fill, stroke) for an element type."""
    if dtype.is_float:
        return FLOAT
    return next(pair for bits, pair in COLOURS.items() if dtype.bits <= bits)


def to_svg(graph: Graph, target: Target | None = None) -> str:
    """`graph`, quantized or lowered for `target`, as one SVG document; constants are not drawn."""
    nodes = [node for node in graph.nodes() if not isinstance(node, Constant)]
    boxes: dict[object, _Box] = {node: _box(node, target) for node in nodes}
    edges: list[tuple[object, object]] = []
    values: list[Value] = []
    for node in nodes:
        for operand in dict.fromkeys(node.operands):
            if not isinstance(operand.node, Constant):
                edges.append((operand.node, node))
                values.append(operand)
    for output in graph.outputs:
        key = ("output", output.name)
        boxes[key] = _Box((_short(output.name), "output"), output.name, "#ffffff")
        if not isinstance(output.value.node, Constant):
            edges.append((output.value.node, key))
            values.append(output.value)
    drawing = layered({key: box.width for key, box in boxes.items()}, edges)
    return _document(graph.name, drawing, boxes, values)


def _document(name: str, drawing: Drawing, boxes: dict[object, _Box], values: list[Value]) -> str:
    width, height = f"{max(drawing.width, 420):.0f}", f"{drawing.height + 40:.0f}"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="11">',
        f"<title>{escape(name)}</title>",
        *_legend(drawing.height),
    ]
    for points, value in zip(drawing.arrows, values, strict=True):
        lines.append(_arrow(points, value))
    for key, box in boxes.items():
        lines += _drawn(box, *drawing.centres[key])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend(top: float) -> Iterable[str]:
    """What the colours say, below the picture."""
    names = {1: "1 bit", 2: "2", 4: "3-4", 8: "5-8", 16: "9-16", 64: "wider"}
    pairs = [*((names[bits], fill) for bits, (fill, _) in COLOURS.items()), ("float", FLOAT[0])]
    for k, (label, fill) in enumerate(pairs):
        yield f'<rect x="{8 + 58 * k}" y="{top + 12:.0f}" width="12" height="12" fill="{fill}" stroke="#868e96"/>'
        yield f'<text x="{24 + 58 * k}" y="{top + 22:.0f}">{label}</text>'


def _arrow(points: list[tuple[float, float]], value: Value) -> str:
    """Down from the lower edge of one box to the upper edge of the other, smoothly through the points between."""
    (x, y), (last_x, last_y) = points[0], points[-1]
    points = [(x, y + _HEIGHT / 2), *points[1:-1], (last_x, last_y - _HEIGHT / 2)]
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    stroke = colours(narrowest_type(value))[1]
    tip = f"M{points[-1][0] - 4:.1f},{points[-1][1] - 7:.1f} l4,7 l4,-7"
    title = f"<title>{escape(str(value.type))}</title>"
    return f'<path d="{path} {tip}" fill="none" stroke="{stroke}" stroke-width="1.6">{title}</path>'


def _drawn(box: _Box, x: float, y: float) -> Iterable[str]:
    left, top = x - box.width / 2, y - _HEIGHT / 2
    yield f"<g><title>{escape(box.title)}</title>"
    yield (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{_HEIGHT}" rx="5" '
        f"fill={quoteattr(box.fill)} stroke={quoteattr('#495057')}/>"
    )
    for k, line in enumerate(box.lines):
        middle = top + _HEIGHT / 2 + 4 + 14 * (k - (len(box.lines) - 1) / 2)
        yield f'<text x="{x:.1f}" y="{middle:.1f}" text-anchor="middle">{escape(line)}</text>'
    yield "</g>"


def _box(node: Node, target: Target | None) -> _Box:
    shown = node.types[0]
    shape = "x".join(map(str, shown.shape)) or "scalar"
    if isinstance(node, Input):
        return _Box((_short(node.name), f"{shown.dtype} {shape}"), node.name, colours(shown.dtype)[0])
    if isinstance(node, View):
        return _Box((type(node.op).__name__, f"{shape} (view)"), " + ".join(node.sources), "#ffffff")
    layer = layer_of(node.op, node, target) if isinstance(node, KernelCall) else layer_of(node)
    return _Box((layer.op, layer.bits, shape), _title(layer), _fill(layer))


def _fill(layer: Layer) -> str:
    """By the weights, or the result; float where either is."""
    output = DType.parse(layer.output)
    if output.is_float or layer.weight_bits is None:
        return colours(output)[0]
    return colours(DType("uint", layer.weight_bits))[0]


def _title(layer: Layer) -> str:
    """What shows under the pointer."""
    facts = [layer.name, f"{layer.macs:,} MACs" if layer.macs else "", f"{layer.bytes:,} bytes", layer.kernel or ""]
    return "\n".join(fact for fact in facts if fact)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"
