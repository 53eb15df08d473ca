"""What builds a network: the frames that values have become, and the layers so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Node, Value
from subbyte.targets.hls.layers import Flattening, Frame, Layer, Mapping
from subbyte.targets.hls.network.frames import Geometry, image_geometry, image_order, rows_geometry
from subbyte.targets.hls.streams import Codes, Element


@dataclass(eq=False)
class Builder:
    """Frames by value, layers in order.

    most_terms: weights that are sums of so many powers of two get no multiplier. calls: what stands in the graph for an
    operation: itself, or the call of a kernel, whose values others read.
    """

    most_terms: int = 1
    frames: dict[Value, Frame] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    calls: dict[Node, Node] = field(default_factory=dict)
    _unflattened: dict[str, Frame] = field(default_factory=dict)  # by the name of the flattened frame

    def name(self, kind: str) -> str:
        """A C identifier for the next layer: its kind and its number."""
        return f"{kind}{len(self.layers) + 1}"

    def frame(self, value: Value) -> Frame:
        return self.frames[value]

    def image(self, op: Node, value: Value) -> Frame:
        """`value` pixel by pixel with all channels, as windows need it.  Raises UnsupportedError: it is not."""
        return self._as(op, value, image_geometry(value.type.shape), image_order(value.type.shape))

    def rows(self, value: Value) -> Frame:
        """`value`, [..., M, K], as pixels of K codes in whatever order they arrive where M is 1."""
        frame = self.frame(value)
        geometry = rows_geometry(value.type.shape)
        if geometry.width == 1:
            return self._flattened(frame, geometry)
        return self._as(None, value, geometry, np.arange(value.type.elements))

    def alike(self, op: Node, a: Value, b: Value) -> tuple[Frame, Frame]:
        """Two values whose codes arrive side by side."""
        first, second = self.frame(a), self.frame(b)
        if not np.array_equal(first.order, second.order):
            raise UnsupportedError(
                f"{op.label}: its operands arrive in different orders, since one was transposed or reshaped on its "
                "way; a stream cannot be reordered. Move the Transpose behind the operation."
            )
        geometry = Geometry(first.height, first.width, first.channels)
        return first, self._flattened(second, geometry)

    def _as(self, op: Node | None, value: Value, geometry: Geometry, order: Codes) -> Frame:
        frame = self.frame(value)
        if not np.array_equal(frame.order, order):
            who = "a matrix product" if op is None else op.label
            raise UnsupportedError(
                f"{who}: its operand {value.type} from {value.node.label} arrives in another order than pixel by "
                "pixel, since it was transposed or reshaped on its way; a stream cannot be reordered. Export the "
                "model without that Transpose or Reshape."
            )
        return self._flattened(frame, geometry)

    def _flattened(self, frame: Frame, geometry: Geometry) -> Frame:
        """`frame`, the same codes in pixels of `geometry`."""
        if (frame.height, frame.width, frame.channels) == (geometry.height, geometry.width, geometry.channels):
            return frame
        if frame.name in self._unflattened:
            return self._flattened(self._unflattened[frame.name], geometry)
        name = self.name("flatten")
        flat = Frame(
            f"{name}_out",
            frame.element,
            geometry.height,
            geometry.width,
            geometry.channels,
            frame.value,
            frame.order,
        )
        self.layers.append(Flattening(name, (frame,), (flat,)))
        self._unflattened[flat.name] = frame
        return flat

    def mapped(self, frame: Frame, element: Element) -> Frame:
        """`frame` with its codes, unchanged, in lanes of another width."""
        if frame.element == element:
            return frame
        name = self.name("widen")
        wide = Frame(f"{name}_out", element, frame.height, frame.width, frame.channels, frame.value, frame.order)
        table = np.arange(frame.element.low, frame.element.high + 1)[None]
        self.layers.append(Mapping(name, (frame,), (wide,), table))
        return wide

    def result(
        self, name: str, value: Value, element: Element, geometry: Geometry, order: Codes | None = None
    ) -> Frame:
        """A new frame for `value`; pixel by pixel where no order is given."""
        if order is None:
            order = image_order(value.type.shape)
        shown = self.shown(value)
        frame = Frame(name, element, geometry.height, geometry.width, geometry.channels, shown, order)
        self.frames[shown] = frame
        return frame

    def shown(self, value: Value) -> Value:
        """A result of an operation as the graph knows it."""
        return Value(self.calls.get(value.node, value.node), value.index)

    def add(
        self, make: Callable[..., Layer], name: str, *arguments: Any, sources: tuple[str, ...], **named: Any
    ) -> None:
        self.layers.append(make(name, *arguments, sources=sources, **named))
