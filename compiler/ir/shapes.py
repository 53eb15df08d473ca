"""Shape arithmetic shared by the float and the integer operations.  Source: the ONNX operator specifications."""

from __future__ import annotations

from subbyte.compiler.errors import GraphError

Shape = tuple[int, ...]


def broadcast(a: Shape, b: Shape) -> Shape:
    """NumPy's multidirectional broadcasting of two shapes."""
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    if any(x != y and 1 not in (x, y) for x, y in zip(wide_a, wide_b, strict=True)):
        raise GraphError(f"shapes {a} and {b} cannot be broadcast together")
    return tuple(y if x == 1 else x for x, y in zip(wide_a, wide_b, strict=True))


def matmul_shape(a: Shape, b: Shape) -> Shape:
    """[..., M, K] @ [..., K, N] with broadcast batches; both of rank 2 or more."""
    if len(a) < 2 or len(b) < 2:
        raise GraphError(f"a matrix product needs operands of rank 2 or more, not {a} and {b}")
    if a[-1] != b[-2]:
        raise GraphError(f"inner dimensions differ: a is {a}, b is {b}")
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])


def _window(extent: int, kernel: int, stride: int, begin: int, end: int, dilation: int, ceil_mode: bool) -> int:
    """The number of windows along one axis."""
    if min(kernel, stride, dilation) < 1:
        raise GraphError(f"kernel {kernel}, stride {stride} and dilation {dilation} must each be at least 1")
    if min(begin, end) < 0:
        raise GraphError(f"pads {begin} and {end} must not be negative; a Pad or Slice crops")
    padded = extent + begin + end
    reach = (kernel - 1) * dilation + 1
    if padded < reach:
        raise GraphError(f"a window that reaches {reach} does not fit into {extent} with pads {begin} and {end}")
    steps = padded - reach
    count = (-(-steps // stride) if ceil_mode else steps // stride) + 1
    if ceil_mode and (count - 1) * stride >= extent + begin:
        count -= 1  # a window that starts in the end padding does not count
    return count


def window_counts(
    extent: int, windows: int, kernel: int, stride: int, begin: int, end: int, dilation: int, *, with_pads: bool = False
) -> tuple[int, ...]:
    """Along one axis: how many positions of each window lie inside the tensor, or inside the tensor and its pads."""
    low, high = (-begin, extent + end) if with_pads else (0, extent)
    starts = (window * stride - begin for window in range(windows))
    return tuple(sum(low <= start + k * dilation < high for k in range(kernel)) for start in starts)


def need_filled_windows(x: Shape, y: Shape, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape) -> None:
    """An error where a window of a pool lies in the padding altogether."""
    rank = len(kernel)
    for i, (k, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        extent, windows, begin, end = x[i + 2], y[i + 2], pads[i], pads[rank + i]
        before, after = begin > (k - 1) * dilation, (windows - 1) * stride - begin >= extent
        steps_over = dilation > extent and 0 in window_counts(extent, windows, k, stride, begin, end, dilation)
        if before or after or steps_over:
            raise GraphError(f"windows of {kernel} with pads {pads} over {x} include one of nothing but padding")


def pool_shape(x: Shape, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape, ceil_mode: bool) -> Shape:
    """[N, C, spatial...] under windows of `kernel`; pads: begins, then ends."""
    rank = len(kernel)
    if len(x) != rank + 2 or len(strides) != rank or len(pads) != 2 * rank or len(dilations) != rank:
        raise GraphError(
            f"x {x}, kernel {kernel}, strides {strides}, pads {pads} and dilations {dilations} do not fit together"
        )
    spatial = (
        _window(x[i + 2], kernel[i], strides[i], pads[i], pads[rank + i], dilations[i], ceil_mode) for i in range(rank)
    )
    return (*x[:2], *spatial)


def conv_shape(x: Shape, w: Shape, strides: Shape, pads: Shape, dilations: Shape, group: int) -> Shape:
    """x [N, C, spatial...], w [O, C / group, kernel...] -> [N, O, spatial...]."""
    if len(x) < 3 or len(w) != len(x):
        raise GraphError(f"x has shape {x} and w {w}; both need rank 3 or more, and the same")
    if group < 1 or x[1] != w[1] * group or w[0] % group:
        raise GraphError(f"{x[1]} channels of x, weights {w} and group {group} do not fit: w is [O, C / group, ...]")
    pooled = pool_shape(x, w[2:], strides, pads, dilations, ceil_mode=False)
    return (x[0], w[0], *pooled[2:])


def conv_transpose_shape(
    x: Shape, w: Shape, strides: Shape, pads: Shape, dilations: Shape, group: int, output_padding: Shape
) -> Shape:
    """x [N, C, spatial...], w [C, O / group, kernel...] -> [N, O, spatial...]."""
    rank = len(x) - 2
    if rank < 1 or len(w) != len(x) or not len(strides) == len(dilations) == len(output_padding) == rank:
        raise GraphError(f"x {x}, w {w}, strides {strides} and output_padding {output_padding} do not fit together")
    if len(pads) != 2 * rank or group < 1 or x[1] != w[0] or x[1] % group:
        raise GraphError(
            f"{x[1]} channels of x, weights {w}, pads {pads} and group {group} do not fit: w is [C, O / group, ...]"
        )
    if min((*pads, *output_padding)) < 0 or min((*strides, *dilations, *w[2:])) < 1:
        raise GraphError(
            f"kernel {w[2:]}, strides {strides} and dilations {dilations} must be at least 1, pads {pads} and "
            f"output_padding {output_padding} at least 0"
        )
    spatial = tuple(
        (x[i + 2] - 1) * strides[i] + output_padding[i] + (w[i + 2] - 1) * dilations[i] + 1 - pads[i] - pads[rank + i]
        for i in range(rank)
    )
    if min(spatial) < 1:
        raise GraphError(f"the result would have extents {spatial}; pads {pads} are too large")
    return (x[0], w[1] * group, *spatial)


def reduce_shape(x: Shape, axes: Shape, keepdims: bool) -> Shape:
    """`x` with `axes` reduced to 1, or removed."""
    if len(set(axes)) != len(axes) or any(not 0 <= axis < len(x) for axis in axes):
        raise GraphError(f"axes {axes} do not name distinct axes of shape {x}")
    if keepdims:
        return tuple(1 if i in axes else extent for i, extent in enumerate(x))
    return tuple(extent for i, extent in enumerate(x) if i not in axes)
