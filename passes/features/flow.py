"""Where the features of a layer or a normalization go: through which operations, into which layers, beside what.

A feature is an output channel of its source. Element by element it is followed through data movement and elementwise
arithmetic: a feature is open where every path of it ends in layers, so that a factor on it can be taken back in the
columns of their weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_normalization import Normalization

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Source = Layer | Normalization
_NONE = -1  # the feature of an element that is none of the source's
_POOLS = (ops.MaxPool, ops.AveragePool)
_HOMOGENEOUS = ("Relu", "LeakyRelu")


@dataclass(frozen=True)
class Reader:
    """A layer, and the feature that each channel of its activations holds; -1: another."""

    layer: Layer
    features: Integers

    def columns(self) -> Integers:
        """The feature of each column of the layer's matrix, [groups, K]."""
        width = self.layer.matrix().shape[2] * self.layer.groups // self.features.size
        return np.repeat(self.features, width).reshape(self.layer.groups, -1)


@dataclass(frozen=True)
class Addend:
    """A constant that is added to features, operand `name` of `node`; `features` can be broadcast with it."""

    node: ops.Binary
    name: str
    features: Integers


@dataclass(frozen=True)
class Flow:
    """The features of `source`.

    open: a positive factor on the feature can be taken back in the readers. Rectifiers and products keep it open.
    movable: an addend can be taken back too: nothing but data movement lies between.
    blocks: features of one number >= 0 are open, and may be mixed by any linear map of their own, which the readers
        can take back: between lie operations that do the same to all of them.
    """

    source: Source
    readers: tuple[Reader, ...]
    addends: tuple[Addend, ...]
    open: Flags
    movable: Flags
    blocks: Integers


def flows(graph: Graph) -> tuple[Flow, ...]:
    """The features of every layer and normalization whose parameters are constants, and that have an open feature."""
    every: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    found = []
    for node in graph.nodes():
        source: Source | None = node if isinstance(node, Normalization) else every.get(node)
        if source is None or not _has_constants(source):
            continue
        flow = _Follower(graph, source, every).flow()
        if flow.open.any():
            found.append(flow)
    return tuple(found)


def output_axis(layer: Layer) -> int:
    """The axis of a layer's results along which its output channels lie."""
    return 1 if isinstance(layer.node, (ops.Conv, ops.ConvTranspose)) else layer.node.type.rank - 1


def input_axis(layer: Layer) -> int:
    """The axis of a layer's activations along which its input channels lie."""
    match layer.node:
        case ops.Conv() | ops.ConvTranspose():
            return 1
        case ops.Gemm(transpose_a=True):
            return 0
    return layer.x.type.rank - 1


def _has_constants(source: Source) -> bool:
    parameters = (source.bias,) if isinstance(source, Layer) else (source.scale, source.bias)
    return all(value is None or value.constant is not None for value in parameters)


@dataclass(frozen=True)
class _Track:
    """For each element of a value: its feature, and the position that it came from; features of one position were
    made together."""

    features: Integers
    positions: Integers

    def moved(self, function: Callable[[Any], Any]) -> _Track:
        return _Track(function(self.features), function(self.positions))


class _Follower:
    """Follows the features of one source through a graph, once from the front to the back."""

    def __init__(self, graph: Graph, source: Source, every: Mapping[Node, Layer]) -> None:
        self.graph, self.source, self.every = graph, source, every
        self.tracks: dict[Value, _Track] = {}
        self.readers: list[Reader] = []
        self.addends: list[Addend] = []
        self.treated: list[Integers] = []  # features that one operation did the same to
        shape, axis = self._start()
        count = math.prod(shape[axis:]) if isinstance(source, Normalization) else shape[axis]
        self.open, self.movable = np.ones(count, bool), np.ones(count, bool)
        self.mixable, self.blocks = np.ones(count, bool), np.zeros(count, np.int64)

    def _start(self) -> tuple[tuple[int, ...], int]:
        node = self.source.node if isinstance(self.source, Layer) else self.source
        shape = node.type.shape
        if isinstance(self.source, Layer):
            axis = output_axis(self.source)
            row: tuple[int, ...] = (shape[axis],)
            others = (*shape[:axis], 1, *shape[axis + 1 :])
            features = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        else:
            axis, row = self.source.axis, shape[self.source.axis :]
            others = shape[:axis] + (1,) * len(row)
            features = np.arange(math.prod(row)).reshape(row)
        positions = np.arange(math.prod(others)).reshape(others)
        self.tracks[node.out] = _Track(np.broadcast_to(features, shape), np.broadcast_to(positions, shape))
        return shape, axis

    def flow(self) -> Flow:
        for node in self.graph.nodes():
            read = [value for value in node.operands if value in self.tracks]
            if read:
                self._pass(node, read)
        for output in self.graph.outputs:
            if output.value in self.tracks:
                self._close(self.tracks[output.value])
        reached = np.zeros(self.open.size, bool)
        for reader in self.readers:
            reached[reader.features[reader.features >= 0]] = True
        for features in (*self.treated, *(reader.features for reader in self.readers)):
            self._need_whole_blocks(features)
        self.open &= reached
        usable = self.open & self.mixable
        for block in np.unique(self.blocks):
            members = self.blocks == block
            if not usable[members].all():
                self.blocks[members] = _NONE
        return Flow(
            self.source, tuple(self.readers), tuple(self.addends), self.open, self.movable & self.open, self.blocks
        )

    # What happens to features ----------------------------------------------------------------------------------------

    def _close(self, *tracks: _Track) -> None:
        self._clear(self.open, *tracks)

    def _clear(self, flags: Flags, *tracks: _Track) -> None:
        for track in tracks:
            present = np.unique(track.features)
            flags[present[present >= 0]] = False

    def _set(self, value: Value, track: _Track) -> None:
        if (track.features >= 0).any():
            self.tracks[value] = track

    def _pass(self, node: Node, read: list[Value]) -> None:
        tracks = [self.tracks[value] for value in read]
        layer = self.every.get(node)
        if layer is not None:
            if read == [layer.x]:
                self._read(layer, tracks[0])
            else:
                self._close(*tracks)
        elif not self._moved(node) and not self._computed(node, read):
            self._close(*tracks)

    def _read(self, layer: Layer, track: _Track) -> None:
        """A layer whose channels hold one feature each, wherever they lie, is a reader."""
        rows, positions = (np.moveaxis(a, input_axis(layer), -1) for a in (track.features, track.positions))
        rows = rows.reshape(-1, rows.shape[-1])
        if (rows != rows[:1]).any():
            return self._close(track)
        self._keep_aligned(rows[0], positions.reshape(rows.shape))
        pads = layer.node.pads if isinstance(layer.node, (ops.Conv, ops.ConvTranspose)) else ()
        if any(pads) or isinstance(layer.node, ops.ConvTranspose):
            self._clear(self.movable, track)  # a border is 0 whatever is added to the features
        if layer.groups > 1:
            self._clear(self.mixable, track)
        self.readers.append(Reader(layer, rows[0]))
        return None

    def _keep_aligned(self, features: Integers, positions: Integers) -> None:
        """Features of a block may be mixed only where those beside each other were made together."""
        for block in np.unique(self.blocks[features[features >= 0]]):
            columns = np.flatnonzero((features >= 0) & (self.blocks[features] == block))
            if (positions[:, columns] != positions[:, columns[:1]]).any():
                self.mixable[features[columns]] = False

    def _need_whole_blocks(self, features: Integers) -> None:
        """What is done to one feature of a block must be done to all of them, and once."""
        counts = np.bincount(features[features >= 0], minlength=self.open.size)
        for block in np.unique(self.blocks):
            members = self.blocks == block
            if not (counts[members] == 1).all() and counts[members].any():
                self.mixable[members] = False

    def _moved(self, node: Node) -> bool:
        """Data movement; True where it is one."""
        match node:
            case ops.Reshape(x=x, shape=shape):
                self._set(node.out, self.tracks[x].moved(lambda a: a.reshape(shape)))
            case ops.Transpose(x=x, perm=perm):
                self._set(node.out, self.tracks[x].moved(lambda a: a.transpose(perm)))
            case ops.Slice(x=x):
                self._set(node.out, self.tracks[x].moved(lambda a: a[np.ix_(*map(list, node.spans()))]))
            case ops.Gather(x=x, indices=Value(node=Constant(value=indices)), axis=axis):
                self._set(node.out, self.tracks[x].moved(lambda a: np.take(a, indices, axis)))
            case ops.Split(x=x, axis=axis, sizes=sizes):
                ends = np.cumsum(sizes)[:-1]
                features, positions = (np.split(a, ends, axis) for a in vars(self.tracks[x]).values())
                for index, parts in enumerate(zip(features, positions, strict=True)):
                    self._set(Value(node, index), _Track(*parts))
            case ops.Concat(values=values, axis=axis):
                given = [self.tracks.get(value) or _nothing(value.type.shape) for value in values]
                joined = [np.concatenate([getattr(t, f) for t in given], axis) for f in ("features", "positions")]
                self._set(node.out, _Track(*joined))
            case _:
                return False
        return True

    def _computed(self, node: Node, read: list[Value]) -> bool:
        """Arithmetic under which a positive factor stays a factor; True where it is one."""
        track = self.tracks[read[0]]
        match node:
            case ops.Unary(function=function) if function in _HOMOGENEOUS:
                self._clear(self.movable, track)
                self._clear(self.mixable, track)
            case ops.PRelu(x=x) if read == [x]:
                self._clear(self.movable, track)
                self._clear(self.mixable, track)
            case ops.Add() | ops.Sub():
                return self._sum(node, read)
            case ops.Mul() | ops.Div():
                return self._product(node, read)
            case ops.MatMul(b=b) if read == [b]:
                return self._weighted(node, track)
            case ops.ReduceMean(axes=axes, keepdims=keepdims):
                return self._pooled(node, track, axes, keepdims)
            case _ if isinstance(node, _POOLS):
                return self._pooled(node, track, tuple(range(2, node.type.rank)), True)
            case _:
                return False
        self._set(node.out, track)
        return True

    def _sum(self, node: ops.Binary, read: list[Value]) -> bool:
        """A constant beside the features is divided as they are; features beside themselves stay."""
        track = self.tracks[read[0]]
        if track.features.shape != node.type.shape:
            return False
        if node.a == node.b or len(read) == 2:
            other = self.tracks[read[-1]]
            if other.features.shape != track.features.shape or (other.features != track.features).any():
                return False
            self._clear(self.movable, track)
            self._clear(self.mixable, track)
        else:
            name, constant = ("b", node.b) if read[0] == node.a else ("a", node.a)
            if constant.constant is None:
                return False
            few = _narrowed(track.features)
            if sum(extent > 1 for extent in few.shape) > 1:
                self._clear(self.mixable, track)
            self.treated.append(few.reshape(-1))
            self._clear(self.movable, track)
            self.addends.append(Addend(node, name, few))
        self._set(node.out, track)
        return True

    def _product(self, node: ops.Binary, read: list[Value]) -> bool:
        """One factor, or dividend, of a product."""
        other = node.b if read[0] == node.a else node.a
        if len(read) > 1 or node.a == node.b or (isinstance(node, ops.Div) and read[0] == node.b):
            return False
        track = self.tracks[read[0]]
        self._clear(self.movable, track)
        if other.constant is None or other.constant.size != 1:
            self._clear(self.mixable, track)
        self.treated.append(np.unique(track.features))
        shape = node.type.shape
        self._set(node.out, track.moved(lambda a: np.broadcast_to(a, shape)))
        return True

    def _weighted(self, node: ops.MatMul, track: _Track) -> bool:
        """a @ features, as attention weighs values: each column stays what it is, in each of the batched products."""
        features = track.features
        if (features != features[..., :1, :]).any():
            return False
        batches = features[..., 0, :].reshape(-1, features.shape[-1])
        positions = track.positions.reshape(len(batches), *features.shape[-2:])
        for row, made in zip(batches, positions, strict=True):
            self._keep_aligned(row, made)
        found = np.zeros((self.open.size, len(batches)), bool)  # in which products a feature is
        for index, row in enumerate(batches):
            found[row[row >= 0], index] = True
        _, self.blocks = np.unique(np.c_[self.blocks, found], axis=0, return_inverse=True)
        self.blocks = self.blocks.reshape(-1).astype(np.int64)
        self._clear(self.movable, track)
        shape = node.type.shape
        made_here = np.arange(math.prod(shape[:-1])).reshape(*shape[:-1], 1)
        if math.prod(shape[:-2]) != len(batches):
            self._clear(self.mixable, track)
        self._set(
            node.out, _Track(np.broadcast_to(features[..., :1, :], shape), np.broadcast_to(made_here, shape).copy())
        )
        return True

    def _pooled(self, node: Node, track: _Track, axes: tuple[int, ...], keepdims: bool) -> bool:
        """Features pooled with their own kind."""
        features = track.features
        first = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(features.ndim))
        if (features != features[first]).any():
            return False
        self._clear(self.mixable, track)
        if not isinstance(node, ops.ReduceMean):
            self._clear(self.movable, track)
        shape = node.type.shape if keepdims else tuple(1 if a in axes else n for a, n in enumerate(features.shape))
        kept = track.moved(lambda a: np.broadcast_to(a[first], shape).reshape(node.type.shape))
        self._set(node.out, kept)
        return True


def _nothing(shape: tuple[int, ...]) -> _Track:
    return _Track(np.full(shape, _NONE), np.full(shape, _NONE))


def _narrowed(features: Integers) -> Integers:
    """`features` with extent 1 along the axes on which they are all alike."""
    for axis in range(features.ndim):
        first = features.take([0], axis)
        if (features == first).all():
            features = first
    return features
