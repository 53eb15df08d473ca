"""The interpreter: what a graph means. Every target must equal it bit for bit, every exact pass must keep it.

It rounds nothing by itself: compiler/numerics does. One function an operation, in the files interpret_*.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError, ModelError, NumericsError
from subbyte.compiler.ir import (  # noqa: F401  (each registers the meaning of its operations)
    interpret_codebooks,
    interpret_codes,
    interpret_dynamic,
    interpret_elementwise,
    interpret_float_sums,
    interpret_functions,
    interpret_indexing,
    interpret_logic,
    interpret_movement,
    interpret_normalization,
    interpret_resize,
    interpret_sums,
    interpret_windows,
)
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret_registry import interpretation_of
from subbyte.compiler.ir.lowered import Wrapper
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]


def evaluate(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """What `graph` computes: its outputs by name, in the order of the graph.

    Args:
        inputs: an array for each graph input, of its exact shape and of the NumPy container of its dtype; codes within
            the range of their type.
    Returns: arrays of the caller's own; codes in the container of their dtype.
    Raises: ModelError: an input is missing, unknown, or does not fit its type; an index is out of range.
        NumericsError: an integer sum may exceed int64.
    """
    values = evaluate_values(graph, inputs, keep=[output.value for output in graph.outputs])
    return {output.name: np.array(values[output.value]) for output in graph.outputs}


def evaluate_values(
    graph: Graph, inputs: Mapping[str, Any], keep: Collection[Value] | None = None
) -> dict[Value, Array]:
    """The values in `keep` (None: every value of the graph); each other one is freed after its last use.

    Arguments and errors are those of `evaluate`. The arrays may share memory with each other, constants and inputs.
    """
    given = _checked_inputs(graph, inputs)
    kept = None if keep is None else set(keep)
    pending = Counter(operand for node in graph.nodes() for operand in node.operands)
    values: dict[Value, Array] = {}
    for node in graph.nodes():
        if isinstance(node, Input):
            results: tuple[Array, ...] = (given[node.name],)
        elif isinstance(node, Constant):
            results = (node.value,)
        else:
            results = evaluate_node(node, [values[operand] for operand in node.operands])
        for index, result in enumerate(results):
            value = Value(node, index)
            if kept is None or value in kept or pending[value]:
                values[value] = result
        for operand in node.operands:
            pending[operand] -= 1
            if kept is not None and pending[operand] == 0 and operand not in kept:
                values.pop(operand, None)
    return values


def evaluate_node(node: Node, operands: Sequence[Array]) -> tuple[Array, ...]:
    """What `node` computes from `operands` (the order of node.operands): an array for each output, in its container.

    Raises: ModelError: an operand does not fit its type; an index is out of range. NumericsError, UnsupportedError.
    """
    if isinstance(node, Constant):
        return (node.value,)
    expected = node.operands
    if len(operands) != len(expected):
        raise ModelError(f"{node.label} was given {len(operands)} operands; it has {len(expected)}")
    for index, (operand, value) in enumerate(zip(operands, expected, strict=True)):
        _check_container(f"operand {index} of {node.label}", operand, value.type)
    while isinstance(node, Wrapper):
        node = node.op
    try:
        with np.errstate(all="ignore"):
            found = interpretation_of(node)(node, *operands)
    except (NumericsError, GraphError) as error:
        if node.label in str(error):
            raise
        raise type(error)(f"{node.label}: {error}") from error
    results = found if isinstance(found, tuple) else (found,)
    return tuple(_stored(node, result, output) for result, output in zip(results, node.types, strict=True))


def _stored(node: Node, result: Array, expected: TensorType) -> Array:
    if result.shape != expected.shape:
        raise GraphError(f"{node.label} computed shape {list(result.shape)} where its type says {expected}")
    with np.errstate(over="ignore"):  # a float32 beyond float16 is infinite
        return np.asarray(result, dtype=expected.dtype.numpy)


def _checked_inputs(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs as arrays, or a ModelError that says which one does not fit."""
    wanted = {node.name: node.type for node in graph.inputs}
    listed = ", ".join(f"'{name}' {expected}" for name, expected in wanted.items()) or "none"
    missing = [name for name in wanted if name not in inputs]
    unknown = [name for name in inputs if name not in wanted]
    if missing or unknown:
        found = [f"'{name}' is missing" for name in missing] + [f"'{name}' is not one of them" for name in unknown]
        raise ModelError(f"the inputs do not fit graph '{graph.name}': {', '.join(found)}; its inputs are {listed}")
    given = {name: np.asarray(inputs[name]) for name in wanted}
    for name, expected in wanted.items():
        _check_container(f"input '{name}' of graph '{graph.name}'", given[name], expected)
        _check_codes(f"input '{name}' of graph '{graph.name}'", given[name], expected)
    return given


def _check_container(what: str, array: Any, expected: TensorType) -> None:
    if not isinstance(array, np.ndarray):
        raise ModelError(f"{what} is a {type(array).__name__}; a NumPy array is needed")
    if array.shape != expected.shape:
        raise ModelError(f"{what} has shape {list(array.shape)}; {expected} is needed")
    if array.dtype != expected.dtype.numpy:
        raise ModelError(f"{what} holds {array.dtype}; {expected} held as {expected.dtype.numpy} is needed")


def _check_codes(what: str, array: Array, expected: TensorType) -> None:
    """Codes outside their range would break what passes proved about sums and tables."""
    stray = expected.stray_code(array)
    if stray is not None:
        low, high = expected.code_range()
        raise ModelError(
            f"{what} holds the code {stray}; codes of {expected} lie in {low}..{high}" + _no_zero(expected)
        )


def _no_zero(expected: TensorType) -> str:
    return ", without 0" if expected.dtype.kind == "bipolar" else ""
