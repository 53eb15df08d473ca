"""What drivers say about a port of the bus: which tensor it is, in which order its elements come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.bus.ports import BusPort
from subbyte.targets.hls.bus.protocols import DesignBus
from subbyte.targets.hls.project.options import Tensor
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.texts import comment

TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, eq=False)
class Border:
    """A port and its tensor."""

    port: BusPort
    tensor: Tensor

    @property
    def numpy_name(self) -> str:
        """Of an element of a frame: "int8"."""
        return f"{'' if self.port.is_signed else 'u'}int{self.port.container_bits}"

    @property
    def tensor_type(self) -> str:
        """Of an element of the tensor, in NumPy."""
        return self.port.dtype.numpy.name

    @property
    def c_type(self) -> str:
        return f"{self.numpy_name}_t"

    @property
    def text(self) -> str:
        """One line for people."""
        element, direction = self.port.element, "input" if self.port.is_input else "output"
        codes = "-1 and 1" if element.bipolar else f"{element.low}..{element.high}"
        return comment(
            f"{direction} {self.port.name}: tensor '{self.tensor.name}' {self.tensor.dtype} {list(self.port.shape)}, "
            f"{self.port.codes} codes {codes} as {self.numpy_name}"
        )


def borders_of(bus: DesignBus, tensors: Sequence[Tensor]) -> list[Border]:
    """The ports of a bus with their tensors.

    Raises GraphError: a port has none; the scales of a tensor are not one, or one for each index of its axis.
    """
    by_stream = {tensor.stream: tensor for tensor in tensors}
    for port in bus.borders:
        if port.name not in by_stream:
            raise GraphError(f"port '{port.name}' has no tensor; drivers need its name, type and shape")
        tensor = by_stream[port.name]
        expected = 1 if tensor.axis is None else port.shape[tensor.axis]
        if len(tensor.scales) != len(tensor.zero_points) or len(tensor.scales) not in (0, expected):
            raise GraphError(
                f"tensor '{tensor.name}' of port '{port.name}' has {len(tensor.scales)} scales and "
                f"{len(tensor.zero_points)} zero points; none or {expected} of each are expected"
            )
    return [Border(port, by_stream[port.name]) for port in bus.borders]


def columns_first(order: Codes) -> int | None:
    """c where order[i] = (i % c) * (n / c) + i // c: channels of a tensor [c, n / c], pixel by pixel. 1: as it is."""
    count = order.size
    step = int(order[1]) if count > 1 else 1
    if step < 1 or count % step:
        return None
    channels = 1 if step == 1 else count // step
    return channels if np.array_equal(order, np.arange(count).reshape(channels, -1).T.reshape(-1)) else None
