"""Data movement: joined, cut, padded, turned, picked and repeated tensors."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.models.scene import Layer, Scene
from tests.fuzz.models.writer import Tensor


def concat(s: Scene, x: Tensor) -> Tensor | None:
    axis = s.c.number(0, x.rank - 1)
    fits = [
        t for t in s.tensors if t.rank == x.rank and all(t.shape[k] == x.shape[k] for k in range(x.rank) if k != axis)
    ]
    others = [s.c.pick([x, *fits]) for _ in range(s.c.number(1, 2))]
    reach = max(t.reach for t in (x, *others))
    return s.w.apply("Concat", x, *(t.name for t in others), axis=axis, reach=reach)


def split(s: Scene, x: Tensor) -> Tensor | None:
    """The two parts, swapped or multiplied; or one of them alone."""
    axis = s.c.number(0, x.rank - 1)
    extent = x.shape[axis]
    if extent < 2:
        return None
    first = s.c.number(1, extent - 1)
    left, right = s.w.node("Split", [x.name, s.w.integers([first, extent - first])], outputs=2, axis=axis)
    if s.c.happens(40):
        return s.w.tensor(left, x.reach)
    if 2 * first == extent and s.c.happens(50):
        return s.w.tensor(s.w.node(s.c.pick(("Add", "Mul")), [left, right])[0], 2 * x.reach)
    return s.w.tensor(s.w.node("Concat", [right, left], axis=axis)[0], x.reach)


def slice_(s: Scene, x: Tensor) -> Tensor | None:
    axis = s.c.number(0, x.rank - 1)
    extent = x.shape[axis]
    step = s.c.pick((1, 2, -1, -2))
    start, end = (0, extent) if step > 0 else (extent - 1, -extent - 1)
    if s.c.happens(50) and extent > 2:
        start, end = (1, extent) if step > 0 else (extent - 2, -extent - 1)
    return s.w.apply("Slice", x, *(s.w.integers([v]) for v in (start, end, axis, step)))


def pad(s: Scene, x: Tensor) -> Tensor | None:
    mode = s.c.pick(("constant", "constant", "edge", "reflect"))
    pads = [s.c.number(0, min(2, n - 1) if mode == "reflect" else 2) if s.c.happens(40) else 0 for n in x.shape * 2]
    operands = [s.w.integers(pads)]
    if mode == "constant" and s.c.happens(60):
        operands.append(s.w.constant(np.float32(s.c.pick((0.0, 1.0, -0.7)))))
    return s.w.apply("Pad", x, *operands, mode=mode)


def reshape(s: Scene, x: Tensor) -> Tensor | None:
    n, rest = x.shape[0], math.prod(x.shape[1:])
    factors = [k for k in range(1, rest + 1) if rest % k == 0]
    first = s.c.pick(factors)
    shapes = [(n, -1), (n, first, -1), (n * first, -1), (0, first, 1, -1)]
    return s.w.apply("Reshape", x, s.w.integers(s.c.pick(shapes)))


def transpose(s: Scene, x: Tensor) -> Tensor | None:
    axes = [*range(x.rank)]
    return s.w.apply("Transpose", x, perm=[axes.pop(s.c.number(0, len(axes) - 1)) for _ in range(x.rank)])


def flatten(s: Scene, x: Tensor) -> Tensor | None:
    return s.w.apply("Flatten", x, axis=s.c.pick((1, 1, s.c.number(0, x.rank))))


def gather(s: Scene, x: Tensor) -> Tensor | None:
    axis = s.c.number(0, x.rank - 1)
    shape = s.c.pick(((2,), (3,), (1,), (), (2, 2)))
    if (x.rank == 1 and not shape) or x.rank + len(shape) > 5:
        return None
    indices = s.c.random().integers(-x.shape[axis], x.shape[axis], shape)
    return s.w.apply("Gather", x, s.w.constant(indices), axis=axis)


def space_to_depth(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank == 4 and x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0:
        return s.w.apply("SpaceToDepth", x, blocksize=2)
    if x.rank == 4 and x.shape[1] % 4 == 0:
        return s.w.apply("DepthToSpace", x, blocksize=2, mode=s.c.pick(("DCR", "CRD")))
    return None


def expand(s: Scene, x: Tensor) -> Tensor | None:
    shape = [s.c.number(1, 3) if n == 1 else n for n in x.shape]
    return s.w.apply("Expand", x, s.w.integers(shape))


MOVEMENT: tuple[Layer, ...] = (
    concat, concat, split, slice_, pad, reshape, transpose, flatten, gather, space_to_depth, expand,
)  # fmt: skip
