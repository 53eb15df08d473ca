"""Data movement by indices that are known at run time only, repetition, and searches and sums along one axis."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.dtype import BOOL, INT32, INT64
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import broadcast, reduce_shape
from subbyte.compiler.ir.types import QuantParams, TensorType

REDUCTIONS = ("none", "add", "mul", "max", "min")


def _kept(x: Value) -> QuantParams | None:
    """The scale of codes that change places; per axis it would not survive."""
    if x.type.quant is not None and not x.type.quant.is_per_tensor:
        raise GraphError(f"{x.type} is quantized per axis, which moving its elements does not keep")
    return x.type.quant


def _need_axis(x: TensorType, axis: int) -> None:
    if not 0 <= axis < x.rank:
        raise GraphError(f"axis {axis} does not exist in {x}")


def _need_indices(indices: TensorType) -> None:
    if indices.dtype not in (INT32, INT64):
        raise GraphError(f"indices are {indices}; int32 or int64 is needed")


@dataclass(frozen=True, eq=False, repr=False)
class Expand(Node):
    """x repeated along axes of extent 1, and along new axes in front, to `shape`.  Source: ONNX Expand."""

    x: Value
    shape: tuple[int, ...]

    def infer_type(self) -> TensorType:
        if broadcast(self.x.type.shape, self.shape) != self.shape:
            raise GraphError(f"{self.x.type} cannot be repeated to {list(self.shape)}")
        return TensorType(self.x.type.dtype, self.shape, _kept(self.x))


@dataclass(frozen=True, eq=False, repr=False)
class ArgExtreme(Node):
    """The index along `axis` of the largest element (the smallest: `largest` false); of equal ones the first, or last.

    A NaN, the first one, counts as the largest and as the smallest.  Source: ONNX ArgMax, ArgMin.
    """

    x: Value
    axis: int
    keepdims: bool
    largest: bool
    last: bool

    def infer_type(self) -> TensorType:
        x = self.x.type
        _need_axis(x, self.axis)
        _kept(self.x)
        if x.dtype == BOOL or x.elements == 0:
            raise GraphError(f"x is {x}; numbers, one or more, are needed")
        return TensorType(INT64, reduce_shape(x.shape, (self.axis,), self.keepdims))


@dataclass(frozen=True, eq=False, repr=False)
class GatherElements(Node):
    """y[i, j, ...] = x[..., indices[i, j, ...], ...], the index standing on `axis`.  Source: ONNX GatherElements.

    An index in -extent..-1 counts from the end; any other outside 0..extent-1 is an error when the model runs.
    """

    x: Value
    indices: Value
    axis: int

    def infer_type(self) -> TensorType:
        x, indices = self.x.type, self.indices.type
        _need_axis(x, self.axis)
        _need_indices(indices)
        inside = all(i == self.axis or n <= m for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=False)))
        if indices.rank != x.rank or not inside:
            raise GraphError(f"indices {indices} do not lie within {x} beside axis {self.axis}")
        return TensorType(x.dtype, indices.shape, _kept(self.x))


@dataclass(frozen=True, eq=False, repr=False)
class GatherND(Node):
    """y[b, i] = x[b, indices[b, i, :]]: each row of `indices` names an element or a slice of x.  Source: ONNX GatherND.

    The first `batch_dims` axes of both are the same; indices count from the end and are refused as in GatherElements.
    """

    x: Value
    indices: Value
    batch_dims: int

    def infer_type(self) -> TensorType:
        x, indices, batch = self.x.type, self.indices.type, self.batch_dims
        _need_indices(indices)
        if not 0 <= batch < min(x.rank, indices.rank) or x.shape[:batch] != indices.shape[:batch]:
            raise GraphError(f"x {x} and indices {indices} do not share {batch} batch axes")
        depth = indices.shape[-1]
        if not 1 <= depth <= x.rank - batch:
            raise GraphError(f"rows of {depth} indices do not name parts of {x} with {batch} batch axes")
        return TensorType(x.dtype, (*indices.shape[:-1], *x.shape[batch + depth :]), _kept(self.x))


def _need_scattered(x: TensorType, updates: TensorType, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise GraphError(f"there is no reduction '{reduction}'; there are {', '.join(REDUCTIONS)}")
    if x.dtype != updates.dtype or x.quant is not None or updates.quant is not None:
        raise GraphError(f"x is {x} and updates are {updates}; one dtype, without scales, is needed")
    if reduction != "none" and x.dtype == BOOL:
        raise GraphError(f"x is {x}, which has no arithmetic for the reduction '{reduction}'")


@dataclass(frozen=True, eq=False, repr=False)
class ScatterElements(Node):
    """x, then for each element of `updates`, row-major: y[..., indices[i, j], ...] = reduction(y[...], updates[i, j]).

    max and min keep y where an update is equal to it.  Source: ONNX ScatterElements; indices as in GatherElements.
    """

    x: Value
    indices: Value
    updates: Value
    axis: int
    reduction: str

    def infer_type(self) -> TensorType:
        x, indices, updates = self.x.type, self.indices.type, self.updates.type
        _need_axis(x, self.axis)
        _need_indices(indices)
        _need_scattered(x, updates, self.reduction)
        inside = all(i == self.axis or n <= m for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=False)))
        if indices.rank != x.rank or indices.shape != updates.shape or not inside:
            raise GraphError(f"indices {indices} and updates {updates} do not lie within {x} beside axis {self.axis}")
        return TensorType(x.dtype, x.shape)


@dataclass(frozen=True, eq=False, repr=False)
class ScatterND(Node):
    """x, then for each row of `indices`, row-major: y[indices[i, :]] = reduction(y[...], updates[i]).

    Source: ONNX ScatterND; indices as in GatherND, reductions as in ScatterElements.
    """

    x: Value
    indices: Value
    updates: Value
    reduction: str

    def infer_type(self) -> TensorType:
        x, indices, updates = self.x.type, self.indices.type, self.updates.type
        _need_indices(indices)
        _need_scattered(x, updates, self.reduction)
        depth = indices.shape[-1] if indices.rank else 0
        if not 1 <= depth <= x.rank or updates.shape != (*indices.shape[:-1], *x.shape[depth:]):
            raise GraphError(f"indices {indices} and updates {updates} do not name parts of {x}")
        return TensorType(x.dtype, x.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Cumulate(Node):
    """Running sums (`product`: products) along `axis`, from the end where `reverse`; y_k holds x_k unless `exclusive`.

    One step after the other: y_k = f32(y_(k-1) + x_k); integers wrap.  Source: ONNX CumSum, CumProd.
    """

    x: Value
    axis: int
    exclusive: bool
    reverse: bool
    product: bool

    def infer_type(self) -> TensorType:
        x = self.x.type
        _need_axis(x, self.axis)
        if x.dtype == BOOL or x.quant is not None:
            raise GraphError(f"x is {x}; numbers without a scale are needed")
        return TensorType(x.dtype, x.shape)


@dataclass(frozen=True, eq=False, repr=False)
class TopK(Node):
    """The k largest (smallest) elements along `axis` in order, and their int64 indices; of equal ones the first first.

    A NaN counts as larger than every number, as in NumPy's sort.  Source: ONNX TopK.
    """

    x: Value
    k: int
    axis: int
    largest: bool

    def infer_type(self) -> tuple[TensorType, TensorType]:
        x = self.x.type
        _need_axis(x, self.axis)
        if not 0 < self.k <= x.shape[self.axis] or x.dtype == BOOL:
            raise GraphError(f"the {self.k} first of {x} along axis {self.axis} are asked for; there are not so many")
        shape = (*x.shape[: self.axis], self.k, *x.shape[self.axis + 1 :])
        return TensorType(x.dtype, shape, _kept(self.x)), TensorType(INT64, shape)
