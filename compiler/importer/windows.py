"""Windows of convolutions and pools, every attribute explicit: strides, dilations, and pads in place of auto_pad."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.importer.operator import Operator
from subbyte.compiler.ir.shapes import Shape

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True)
class Window:
    """strides and dilations per spatial axis; pads: begins, then ends. explicit_pads: auto_pad was NOTSET."""

    strides: Shape
    dilations: Shape
    pads: Shape
    explicit_pads: bool


def spatial_rank(op: Operator, shape: Shape, most: int = 2) -> int:
    """The number of spatial axes of [N, C, spatial...]: 1 to `most`."""
    if len(shape) < 3:
        raise op.broken(f"is applied to a tensor of shape {list(shape)}; [N, C, spatial...] is needed.")
    if len(shape) > most + 2:
        raise op.unsupported(
            f"has {len(shape) - 2} spatial axes (x is {list(shape)}); 1 to {most} are read. "
            "Merge axes by Reshape before."
        )
    return len(shape) - 2


def per_axis(op: Operator, name: str, rank: int, default: int) -> Shape:
    """A list attribute with one entry of at least `default` for each spatial axis."""
    found = op.integer_list(name)
    if not found:
        return (default,) * rank
    if len(found) != rank or min(found) < default:
        raise op.broken(f"has {name} {list(found)}; {rank} numbers from {default} on are needed.")
    return found


def auto_pad(op: Operator) -> str:
    found = op.word("auto_pad", "NOTSET") or "NOTSET"
    if found not in _AUTO_PADS:
        raise op.broken(f"has auto_pad '{found}'; {', '.join(_AUTO_PADS)} exist.")
    return found


def explicit_pads(op: Operator, rank: int) -> Shape:
    """The attribute pads, zeros where it is absent."""
    pads = op.integer_list("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        raise op.broken(f"has pads {list(pads)}; {2 * rank} numbers are needed: begins, then ends.")
    if min(pads) < 0:
        raise op.unsupported(f"has negative pads {list(pads)}; pads from 0 on are read. Crop with Slice before.")
    return pads


def window(op: Operator, extents: Shape, kernel: Shape) -> Window:
    """The window of `kernel` over an image of `extents`.

    SAME: ceil(extent / stride) windows, the odd pad at the end for SAME_UPPER and at the begin for SAME_LOWER.
    """
    rank = len(extents)
    strides, dilations = per_axis(op, "strides", rank, 1), per_axis(op, "dilations", rank, 1)
    mode = auto_pad(op)
    if mode == "NOTSET":
        return Window(strides, dilations, explicit_pads(op, rank), True)
    begins, ends = [], []
    for extent, k, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        total = 0
        if mode != "VALID":
            total = max((-(-extent // stride) - 1) * stride + (k - 1) * dilation + 1 - extent, 0)
        begin, end = split_pad(total, upper=mode == "SAME_UPPER")
        begins.append(begin)
        ends.append(end)
    return Window(strides, dilations, (*begins, *ends), False)


def split_pad(total: int, *, upper: bool) -> tuple[int, int]:
    """(begin, end) of `total` pads; the odd one goes to the end for `upper`, else to the begin."""
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def check_no_empty_window(op: Operator, extents: Shape, kernel: Shape, found: Window) -> None:
    """Refuse pools one of whose windows may see nothing but padding: it has no largest element and no mean."""
    rank = len(extents)
    for i in range(rank):
        reach = (kernel[i] - 1) * found.dilations[i] + 1
        begin, end = found.pads[i], found.pads[rank + i]
        gap = found.dilations[i] > extents[i] and kernel[i] > 1
        if max(begin, end) >= reach or (gap and begin + end):
            raise op.broken(
                f"has pads {list(found.pads)} that hold a whole window of kernel {list(kernel)} with dilations "
                f"{list(found.dilations)}; each window must see the image."
            )
