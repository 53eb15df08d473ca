"""Operations to run kernels on, with operands chosen to break them: extremes, odd zero points, ties, odd sizes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor given to an operation: its values, and whether they are known while compiling."""

    values: Array
    dtype: DType
    quant: QuantParams | None = None
    constant: bool = False

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.values.shape, self.quant)


@dataclass(frozen=True, eq=False)
class Case:
    """An operation on operands; `build` makes the node of their Values."""

    name: str
    build: Callable[..., Node]
    operands: tuple[Operand, ...]

    def node(self, channels_last: bool) -> Node:
        """The operation, with every run-time tensor of rank 3 or more row-major or channels-last."""

        def value(number: int, operand: Operand) -> Value:
            layout = _channels_last(operand.type.rank) if channels_last and not operand.constant else None
            of_type = operand.type.with_layout(layout)
            if operand.constant:
                return Constant(operand.values, of_type).out
            return Input(f"operand_{number}", of_type).out

        node = self.build(*(value(number, operand) for number, operand in enumerate(self.operands)))
        layout = _channels_last(node.types[0].rank) if channels_last else None
        return node if layout is None else node.replace(layout=layout)

    def arrays(self, node: Node) -> list[Array]:
        """What the operands of `node`, made by this case, hold."""
        given = {f"operand_{number}": operand.values for number, operand in enumerate(self.operands)}
        return [
            value.node.value if isinstance(value.node, Constant) else given[value.node.name]
            for value in node.operands
            if isinstance(value.node, (Constant, Input))
        ]


def _channels_last(rank: int) -> Layout | None:
    return Layout((0, *range(2, rank), 1)) if rank >= 3 else None


# Operands -------------------------------------------------------------------------------------------------------------


def generator(name: str) -> np.random.Generator:
    """Random numbers that depend on the name of the case alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


FILLS = ("random", "lowest", "highest", "extremes")


def quantized(
    dtype: DType, scale: Any, zero_point: Any, axis: int | None = None, qmin: int | None = None, qmax: int | None = None
) -> QuantParams:
    """A quantization over the whole range of `dtype` where no other is given."""
    low, high = dtype.min if qmin is None else qmin, dtype.max if qmax is None else qmax
    return QuantParams(np.float32(scale), np.int64(zero_point), low, high, axis)


def codes(
    name: str,
    shape: Sequence[int],
    dtype: DType,
    quant: QuantParams | None = None,
    fill: str = "random",
    constant: bool = False,
) -> Operand:
    """Codes of `dtype` within their range: random, all lowest, all highest, or the two in random turn."""
    of_type = TensorType(dtype, tuple(shape), quant)
    low, high = of_type.code_range()
    random = generator(f"{name} {shape} {dtype} {fill}")
    match fill:
        case "random":
            values = random.integers(low, high, shape, endpoint=True)
        case "lowest":
            values = np.full(shape, low)
        case "highest":
            values = np.full(shape, high)
        case _:
            values = np.where(random.random(shape) < 0.5, low, high)
    return Operand(np.asarray(values).astype(dtype.numpy), dtype, quant, constant)


def every_code(shape: Sequence[int], dtype: DType, quant: QuantParams | None = None) -> Operand:
    """The codes in ascending order, again and again."""
    low, high = TensorType(dtype, tuple(shape), quant).code_range()
    values = np.arange(int(np.prod(shape))).reshape(shape) % (high - low + 1) + low
    return Operand(values.astype(dtype.numpy), dtype, quant)


SPECIALS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    np.inf,
    -np.inf,
    np.nan,
    1e-40,
    -1e-45,
    3.4e38,
    -3.4e38,
    88.0,
    -104.0,
)


def reals(
    name: str, shape: Sequence[int], dtype: DType, spread: float = 3.0, specials: bool = False, constant: bool = False
) -> Operand:
    """Floats around 0; with `specials`, zeros of both signs, infinities, NaN, subnormals and ties among them."""
    random = generator(f"{name} {shape} {dtype}")
    values = np.asarray(random.normal(0, spread, shape), np.float32)
    if specials and values.size:
        where = random.random(values.shape) < 0.3
        values = np.where(where, random.choice(np.array(SPECIALS, np.float32), values.shape), values)
    with np.errstate(over="ignore"):
        return Operand(np.asarray(values).astype(dtype.numpy), dtype, None, constant)


CASES: list[Callable[[], Iterator[Case]]] = []


def cases(function: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
    """Register a generator of cases."""
    CASES.append(function)
    return function


def all_cases() -> list[Case]:
    """Every case of every file cases_*.py that was imported; names are unique."""
    found = [case for function in CASES for case in function()]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), f"cases share a name: {sorted(n for n in names if names.count(n) > 1)}"
    return found
