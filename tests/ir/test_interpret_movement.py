"""Data movement means what ONNX's reference implementation does, on floats and on codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT8, INT64, UINT8
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import Layout

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """Our node, and ONNX's: its operator, its further operands and its attributes."""

    shape: tuple[int, ...]
    build: Callable[[Value], Node]
    operator: str
    operands: tuple[Any, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1


INDICES = np.array([[0, -1], [2, -3]])
POOL = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
CASES = {
    "reshape": Case((2, 3, 4), lambda x: ops.Reshape(x, (4, 6)), "Reshape", (np.array([4, 6]),)),
    "transpose": Case((2, 3, 4), lambda x: ops.Transpose(x, (2, 0, 1)), "Transpose", (), {"perm": [2, 0, 1]}),
    "split": Case(
        (5, 3), lambda x: ops.Split(x, 0, (1, 0, 4)), "Split", (np.array([1, 0, 4]),), {"axis": 0}, outputs=3
    ),
    "slice": Case(
        (5, 6),
        lambda x: ops.Slice(x, (1, 5), (5, -1), (2, -3)),
        "Slice",
        (np.array([1, 5]), np.array([9, -99]), np.array([0, 1]), np.array([2, -3])),
    ),
    "pad with a constant": Case(
        (3, 4),
        lambda x: ops.Pad(x, (1, 0, 2, 3), "constant", 5),
        "Pad",
        (np.array([1, 0, 2, 3]), 5),
    ),
    "pad by reflection": Case(
        (3, 4), lambda x: ops.Pad(x, (2, 3, 1, 0), "reflect", 0), "Pad", (np.array([2, 3, 1, 0]),), {"mode": "reflect"}
    ),
    "pad the edge": Case(
        (3, 4), lambda x: ops.Pad(x, (2, 5, 1, 0), "edge", 0), "Pad", (np.array([2, 5, 1, 0]),), {"mode": "edge"}
    ),
    "pad around": Case(
        (3, 4), lambda x: ops.Pad(x, (3, 0, 1, 4), "wrap", 0), "Pad", (np.array([3, 0, 1, 4]),), {"mode": "wrap"}
    ),
    "gather rows": Case((3, 4), lambda x: ops.Gather(x, constant(INDICES), 0), "Gather", (INDICES,), {"axis": 0}),
    "gather columns": Case((3, 4), lambda x: ops.Gather(x, constant(INDICES), 1), "Gather", (INDICES,), {"axis": 1}),
    "depth to space, DCR": Case(
        (2, 8, 2, 3), lambda x: ops.DepthToSpace(x, 2, "DCR"), "DepthToSpace", (), {"blocksize": 2, "mode": "DCR"}
    ),
    "depth to space, CRD": Case(
        (2, 8, 2, 3), lambda x: ops.DepthToSpace(x, 2, "CRD"), "DepthToSpace", (), {"blocksize": 2, "mode": "CRD"}
    ),
    "space to depth": Case((2, 3, 4, 6), lambda x: ops.SpaceToDepth(x, 2), "SpaceToDepth", (), {"blocksize": 2}),
    "max pool": Case(
        (2, 3, 7, 6),
        lambda x: ops.MaxPool(x, (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False),
        "MaxPool",
        (),
        POOL,
    ),
    "max pool, dilated": Case(
        (1, 2, 9, 8),
        lambda x: ops.MaxPool(x, (2, 3), (1, 2), (0, 2, 0, 2), (3, 2), False),
        "MaxPool",
        (),
        {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [0, 2, 0, 2], "dilations": [3, 2]},
    ),
    "max pool, ceil mode": Case(
        (1, 2, 6, 7),
        lambda x: ops.MaxPool(x, (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), True),
        "MaxPool",
        (),
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    ),
    "max pool, one axis": Case(
        (2, 3, 8),
        lambda x: ops.MaxPool(x, (3,), (2,), (1, 1), (1,), False),
        "MaxPool",
        (),
        {"kernel_shape": [3], "strides": [2], "pads": [1, 1]},
    ),
    "largest": Case(
        (2, 3, 4), lambda x: ops.ReduceMax(x, (0, 2), True), "ReduceMax", (np.array([0, 2]),), {"keepdims": 1}
    ),
    "smallest": Case(
        (2, 3, 4), lambda x: ops.ReduceMin(x, (1,), False), "ReduceMin", (np.array([1]),), {"keepdims": 0}
    ),
    "resize to the nearest": Case(
        (1, 2, 3, 4),
        lambda x: ops.ResizeNearest(x, (1, 2, 7, 6), (1.0, 1.0, 2.5, 1.5), "asymmetric", "floor"),
        "Resize",
        (None, np.array([1, 1, 2.5, 1.5], np.float32)),
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "resize to the nearest half pixel": Case(
        (1, 1, 4, 4),
        lambda x: ops.ResizeNearest(x, (1, 1, 2, 8), (1.0, 1.0, 0.5, 2.0), "half_pixel", "round_prefer_floor"),
        "Resize",
        (None, np.array([1, 1, 0.5, 2], np.float32)),
        {"mode": "nearest"},
    ),
}


def constant(array: Array) -> Value:
    return Constant.of(array, INT64).out


@pytest.mark.parametrize("dtype", [FLOAT32, INT8, UINT8], ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_movement_is_onnxs(
    case: Case,
    dtype: Any,
    variable: Callable[..., Value],
    onnx_reference: Callable[..., list[Array]],
    rng: np.random.Generator,
) -> None:
    x = rng.integers(dtype.min if dtype != FLOAT32 else -99, 100, case.shape).astype(dtype.numpy)
    node = case.build(variable(case.shape, str(dtype)))
    found = evaluate_node(node, [x, *(operand.constant for operand in node.operands[1:])])
    operands = [np.array(part, dtype.numpy) if isinstance(part, int) else part for part in case.operands]
    expected = onnx_reference(case.operator, [x, *operands], outputs=case.outputs, **case.attributes)
    assert len(found) == len(expected)
    for ours, theirs, inferred in zip(found, expected, node.types, strict=True):
        assert ours.dtype == dtype.numpy
        assert ours.shape == inferred.shape
        np.testing.assert_array_equal(ours, theirs)


def test_concat_is_onnxs(
    variable: Callable[..., Value], onnx_reference: Callable[..., list[Array]], rng: np.random.Generator
) -> None:
    arrays = [rng.normal(size=(2, extent, 3)).astype(np.float32) for extent in (1, 4, 2)]
    node = ops.Concat(tuple(variable(array.shape) for array in arrays), 1)
    np.testing.assert_array_equal(evaluate_node(node, arrays)[0], onnx_reference("Concat", arrays, axis=1)[0])


def test_negative_pads_crop_before_the_others_add(variable: Callable[..., Value]) -> None:
    node = ops.Pad(variable((5,)), (-1, 2), "reflect", 0.0)
    assert evaluate_node(node, [np.arange(5, dtype=np.float32)])[0].tolist() == [1, 2, 3, 4, 3, 2]


@pytest.mark.parametrize("index", [-4, 3])
def test_an_index_out_of_range_is_an_error(index: int, variable: Callable[..., Value]) -> None:
    node = ops.Gather(variable((3,)), variable((1,), "int64"), 0)
    with pytest.raises(ModelError, match=r"indices .* for an axis of 3"):
        evaluate_node(node, [np.zeros(3, np.float32), np.array([index])])


def test_a_window_with_nan_gives_nan_and_a_zero_is_positive(variable: Callable[..., Value]) -> None:
    x = np.array([[[np.nan, 1, 2, -0.0, -0.0, -1, -np.inf, -np.inf]]], np.float32)
    node = ops.MaxPool(variable(x.shape), (2,), (2,), (0, 0), (1,), False)
    found = evaluate_node(node, [x])[0][0, 0]
    np.testing.assert_array_equal(found, np.array([np.nan, 2, 0, -np.inf], np.float32))
    assert not np.signbit(found[2])


def test_the_smallest_code_wins_where_a_window_holds_nothing_larger(variable: Callable[..., Value]) -> None:
    x = np.full((1, 1, 2), -128, np.int8)
    node = ops.MaxPool(variable(x.shape, "int8"), (2,), (1,), (1, 1), (1,), False)
    assert evaluate_node(node, [x])[0].tolist() == [[[-128, -128, -128]]]


def test_a_layout_changes_no_meaning(variable: Callable[..., Value], rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 2, 3, 4)).astype(np.float32)
    last = Layout((0, 2, 3, 1))
    stored = ops.Repack(variable(x.shape), layout=last)
    np.testing.assert_array_equal(evaluate_node(stored, [x])[0], x)
    plain = ops.Transpose(variable(x.shape), (0, 1, 3, 2))
    np.testing.assert_array_equal(
        evaluate_node(ops.Transpose(stored.out, (0, 1, 3, 2), layout=last), [x])[0], evaluate_node(plain, [x])[0]
    )
