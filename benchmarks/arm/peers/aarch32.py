"""Inner loops of published int8 kernels for AArch32, written anew, as aarch64.py has those for AArch64."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

_ROWS = ("r0", "r5", "r6", "r7")
_SAVED = "{d8, d9, d10, d11, d12, d13, d14, d15}"


def _function(first: Iterable[str], body: Iterable[str], rows: int, accumulators: range) -> str:
    """peer(activations, weights, sums, depth) around a loop of `body`, which counts r3 down to 0; weights at r1."""
    lines = [".syntax unified", ".arm", ".fpu neon", ".text", ".global peer", ".type peer, %function", ".p2align 4"]
    lines += ["peer:", "push {r4, r5, r6, r7, r8, lr}", f"vpush {_SAVED}", "add r4, r3, #64"]
    lines += [f"add {here}, {before}, r4" for before, here in pairwise(_ROWS[:rows])]
    lines += [f"vmov.i32 q{n}, #0" for n in accumulators]
    lines += [*first, ".p2align 3", "1:", *body, "bgt 1b"]
    lines += [f"vst1.8 {{d{2 * n}, d{2 * n + 1}}}, [r2]!" for n in accumulators]
    lines += [f"vpop {_SAVED}", "pop {r4, r5, r6, r7, r8, pc}"]
    return "\n".join(lines) + "\n"


def xnnpack_4x8_lane_cortex_a7() -> str:
    """Four rows, eight columns, 8 deep: widened to 16 bits, multiplied by element into 32; one load ahead."""
    first = [f"vld1.8 {{d{2 * row}}}, [{pointer}]!" for row, pointer in enumerate(_ROWS)] + ["vld1.8 {d8}, [r1]!"]
    body = ["vmovl.s8 q0, d0", "vmovl.s8 q4, d8", *(f"vmovl.s8 q{row}, d{2 * row}" for row in (1, 2, 3))]
    for k in range(8):
        now, ahead = (4, 5) if k % 2 == 0 else (5, 4)
        elements = [f"d{2 * row + k // 4}[{k % 4}]" for row in range(4)]
        products = [
            f"vmlal.s16 q{8 + 2 * row + half}, d{2 * now + half}, {element}"
            for row, element in enumerate(elements)
            for half in range(2)
        ]
        body += [f"vld1.8 {{d{2 * ahead}}}, [r1]!", *products[:4]]
        if 3 <= k < 7:
            body += [f"vld1.8 {{d{2 * (k - 3)}}}, [{_ROWS[k - 3]}]!"]
        body += [f"vmovl.s8 q{ahead}, d{2 * ahead}", *products[4:]] if k < 7 else products[4:6]
        body += ["subs r3, r3, #8", *products[6:]] if k == 7 else []
    return _function(first, body, 4, range(8, 16))


def ruy_4x2() -> str:
    """Four rows, two columns, 16 deep, both packed: vmull, vmlal, vpadal; for out-of-order cores."""
    first = ["vld1.8 {d0, d1, d2, d3}, [r1]!", "vld1.8 {d8, d9, d10, d11}, [r0]!"]
    body: list[str] = []
    for half in range(2):  # two of the four rows
        body += ["vmull.s8 q14, d0, d8", "vmull.s8 q2, d0, d10", "vmull.s8 q15, d2, d8", "vmull.s8 q3, d2, d10"]
        body += ["vmlal.s8 q14, d1, d9", "vmlal.s8 q2, d1, d11", "vmlal.s8 q15, d3, d9", "vmlal.s8 q3, d3, d11"]
        body += ["vld1.8 {d0, d1, d2, d3}, [r1]!"]
        sums = [f"vpadal.s16 q{first_sum + 2 * half}, q{t}" for first_sum, t in ((6, 14), (7, 15), (10, 2), (11, 3))]
        body += sums if half == 0 else [sums[0], "vld1.8 {d8, d9, d10, d11}, [r0]!", *sums[1:]]
    return _function(first, [*body, "add r8, r8, #16", "subs r3, r3, #16"], 1, range(6, 14))
