"""Data movement means what ONNX says, in every opset, on floats and on codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, UnsupportedError

Check = Callable[..., None]
X = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
CODES = (np.arange(2 * 3 * 4 * 5) - 60).astype(np.int8).reshape(2, 3, 4, 5)


def longs(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [10, 13, 14, 21, 28])
@pytest.mark.parametrize("x", [X, CODES], ids=["floats", "codes"])
@pytest.mark.parametrize("shape", [(6, 20), (-1,), (0, -1), (0, 0, 20), (1, 2, -1, 5), (0, 0, 0, 0)])
def test_reshape(equals_reference: Check, shape: tuple[int, ...], x: np.ndarray, opset: int) -> None:
    equals_reference("Reshape", [x, longs(*shape)], opset, constants=(1,))


@pytest.mark.parametrize("shape", [(-1, -1), (7, 17), (0, 0, 0, 0, 0), (-2, 60), (7, -1)])
def test_a_shape_that_does_not_fit_is_refused(make_operator: Any, imported: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="Reshape 'node'"):
        imported(make_operator("Reshape", [X, longs(*shape)], 13, constants=(1,))[0])


def test_a_shape_known_at_run_time_only_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"Reshape 'node' takes its shape from .*at run time"):
        imported(make_operator("Reshape", [X, longs(6, 20)], 13)[0])


@pytest.mark.parametrize("opset", [10, 11, 13, 28])
@pytest.mark.parametrize("axis", [0, 1, 2, 4, -1, None])
def test_flatten(equals_reference: Check, axis: int | None, opset: int) -> None:
    equals_reference("Flatten", [X], opset, **({} if axis is None else {"axis": axis}))


@pytest.mark.parametrize("axes", [(0,), (0, 2), (-2,), None])
def test_squeeze(equals_reference: Check, axes: tuple[int, ...] | None) -> None:
    x = X[:1, :, :1].copy()
    given = {} if axes is None else {"axes": list(axes)}
    equals_reference("Squeeze", [x], 11, **given)
    operands = [x] if axes is None else [x, longs(*axes)]
    for opset in (13, 28):
        equals_reference("Squeeze", operands, opset, constants=(1,))


@pytest.mark.parametrize("axes", [(0,), (1, 4), (-1,), (5, 0)])
def test_unsqueeze(equals_onnxruntime: Check, axes: tuple[int, ...]) -> None:
    equals_onnxruntime("Unsqueeze", [X], 11, axes=list(axes))
    for opset in (13, 21):
        equals_onnxruntime("Unsqueeze", [X, longs(*axes)], opset, constants=(1,))


@pytest.mark.parametrize("opset", [10, 13, 28])
@pytest.mark.parametrize("x", [X, CODES], ids=["floats", "codes"])
@pytest.mark.parametrize("perm", [None, [0, 2, 3, 1], [3, 0, 1, 2]])
def test_transpose(equals_reference: Check, perm: list[int] | None, x: np.ndarray, opset: int) -> None:
    equals_reference("Transpose", [x], opset, **({} if perm is None else {"perm": perm}))


# Pieces ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [10, 11, 13])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_concat(equals_reference: Check, count: int, axis: int, opset: int) -> None:
    axis = axis % 4 if opset < 11 else axis
    equals_reference("Concat", [X, X + 1, -X][:count], opset, axis=axis)


def test_concat_of_shapes_that_do_not_fit_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="Concat 'node'"):
        imported(make_operator("Concat", [X, X[:, :2].copy()], 13, axis=0)[0])


def test_split_into_equal_parts(equals_reference: Check) -> None:
    for opset in (10, 11, 13):
        equals_reference("Split", [X], opset, outputs=2, axis=2)
    equals_reference("Split", [X], 18, outputs=2, axis=2, num_outputs=2)


def test_split_by_sizes(equals_reference: Check) -> None:
    for opset in (10, 11):
        equals_reference("Split", [X], opset, outputs=3, axis=3, split=[1, 3, 1])
    for opset in (13, 18, 28):
        equals_reference("Split", [X, longs(1, 3, 1)], opset, outputs=3, constants=(1,), axis=-1)


def test_the_last_part_of_a_split_is_smaller(equals_reference: Check) -> None:
    equals_reference("Split", [X], 18, outputs=3, axis=3, num_outputs=3)


def test_sizes_that_do_not_add_up_are_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="Split 'node'"):
        imported(make_operator("Split", [X, longs(1, 3)], 13, outputs=2, constants=(1,), axis=3)[0])


FAR = np.iinfo(np.int64).max


@pytest.mark.parametrize("opset", [10, 11, 13, 28])
@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1,), (2,), None, None),
        ((0, 1), (FAR, -1), (0, 3), None),
        ((-3,), (-1,), (3,), (1,)),
        ((-1,), (-FAR,), (2,), (-1,)),
        ((3, 4), (0, 0), (2, 3), (-2, -3)),
        ((1,), (FAR,), (-1,), (2,)),
        ((0,), (100,), (1,), (1,)),
    ],
)
def test_slice(equals_reference: Check, starts: Any, ends: Any, axes: Any, steps: Any, opset: int) -> None:
    operands = [X, longs(*starts), longs(*ends)]
    operands.append(None if axes is None else longs(*axes))
    operands.append(None if steps is None else longs(*steps))
    while operands[-1] is None:
        operands.pop()
    equals_reference("Slice", operands, opset, constants=(1, 2, 3, 4))


def test_an_empty_slice_is_a_constant(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("Slice", [X, longs(2), longs(2)], 13, constants=(1, 2))[0])
    assert graph.outputs[0].value.constant is not None
    assert graph.outputs[0].value.type.elements == 0


@pytest.mark.parametrize("opset", [10, 11, 13])
@pytest.mark.parametrize("indices", [longs(1, 0, 1), np.array(2, np.int32), longs(0, 1).reshape(1, 2)])
def test_gather(equals_reference: Check, indices: np.ndarray, opset: int) -> None:
    equals_reference("Gather", [X, indices], opset, constants=(1,), axis=1)
    equals_reference("Gather", [X, indices], opset, axis=2)


def test_negative_indices_count_from_the_end(equals_reference: Check) -> None:
    equals_reference("Gather", [X, longs(-1, 0)], 13, constants=(1,), axis=-1)


def test_indices_beyond_the_end_are_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="Gather 'node' picks indices 0 to 3 of the 3 along axis 1"):
        imported(make_operator("Gather", [X, longs(0, 3)], 13, constants=(1,), axis=1)[0])


# Borders --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(equals_onnxruntime: Check, mode: str) -> None:
    pads = [0, 0, 1, 2, 0, 0, 3, 1]
    equals_onnxruntime("Pad", [X], 10, mode=mode, pads=pads, **({"value": 1.5} if mode == "constant" else {}))
    for opset in (11, 13, 18, 19, 21):
        operands = [X, longs(*pads), np.array(1.5, np.float32)]
        equals_onnxruntime("Pad", operands, opset, constants=(1, 2), mode=mode)
        equals_onnxruntime("Pad", operands[:2], opset, constants=(1,), mode=mode)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad_named_axes(equals_onnxruntime: Check, mode: str) -> None:
    operands = [X, longs(1, 2, 0, 1), None, longs(3, -3)]
    equals_onnxruntime("Pad", operands, 19, constants=(1, 3), mode=mode)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_negative_pads_crop(equals_onnxruntime: Check, mode: str) -> None:
    operands = [X, longs(0, 0, -1, 2, 0, 0, 1, -1)]
    equals_onnxruntime("Pad", operands, 13, constants=(1,), mode=mode)


def test_codes_are_padded_with_a_code(equals_onnxruntime: Check) -> None:
    operands = [CODES, longs(0, 0, 1, 1, 0, 0, 1, 1), np.array(-7, np.int8)]
    equals_onnxruntime("Pad", operands, 13, constants=(1, 2))


def test_a_reflection_wider_than_the_image_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match="Pad 'node' pads 4 elements along axis 2"):
        imported(make_operator("Pad", [X, longs(0, 0, 4, 0, 0, 0, 0, 0)], 13, constants=(1,), mode="reflect")[0])


# Blocks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [11, 13, 28])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(equals_reference: Check, mode: str, opset: int) -> None:
    x = np.arange(2 * 8 * 3 * 2, dtype=np.float32).reshape(2, 8, 3, 2)
    equals_reference("DepthToSpace", [x], opset, blocksize=2, mode=mode)


def test_depth_to_space_before_it_had_a_mode(equals_onnxruntime: Check) -> None:
    equals_onnxruntime("DepthToSpace", [np.arange(96, dtype=np.float32).reshape(2, 8, 3, 2)], 10, blocksize=2)


@pytest.mark.parametrize("opset", [10, 13, 28])
def test_space_to_depth(equals_reference: Check, opset: int) -> None:
    equals_reference("SpaceToDepth", [X[:, :, :, :4].copy()], opset, blocksize=2)


def test_space_to_depth_with_the_channels_first(equals_reference: Check) -> None:
    equals_reference("SpaceToDepth", [X[:, :, :, :4].copy()], 28, blocksize=2, mode="CRD")


def test_a_block_that_does_not_divide_is_refused(make_operator: Any, imported: Any) -> None:
    for op in ("DepthToSpace", "SpaceToDepth"):
        with pytest.raises(ModelError, match=f"{op} 'node'"):
            imported(make_operator(op, [X], 13, blocksize=2)[0])
