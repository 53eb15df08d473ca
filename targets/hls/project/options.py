"""What a project needs to know beside its design: where it comes from, and what the tensors at its border mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model, for the reader of NAME.h and tb/golden.json.

    name: in the ONNX graph; dtype: "int8"; scales: one or one for each index of `axis`; real = scale * (code -
    zero_point).
    stream: the stream of the design that carries it.
    """

    name: str
    stream: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int | None = None


@dataclass(frozen=True)
class ProjectOptions:
    """version: of subbyte. digest: a checksum of the graph, hexadecimal. model: what the user calls it.

    tensors: inputs and outputs. files: further files by path, of other printers: report/, tcl/, driver/.
    """

    version: str
    digest: str
    model: str = ""
    tensors: tuple[Tensor, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
