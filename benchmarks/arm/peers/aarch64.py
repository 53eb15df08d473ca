"""Inner loops of published int8 kernels for AArch64, written anew: their tile, their instructions in their order.

Each is a function peer(activations, weights, sums, depth) in assembly. Around the loop it does only what brings the
operands in and the accumulators out; what the published kernels do before and behind is not modelled. Rows of
activations are depth + 64 bytes apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

Two = tuple[int, int]
Four = tuple[int, int, int, int]

_ROWS = ("x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16")


def _function(first: Iterable[str], body: Iterable[str], rows: int, accumulators: range) -> str:
    """A loop of `body` behind `first`; the body counts x8 down to 0. The accumulators are stored in their order."""
    lines = [".text", ".global peer", ".type peer, %function", ".p2align 4", "peer:"]
    lines += ["stp d8, d9, [sp, #-64]!"] + [f"stp d{8 + n}, d{9 + n}, [sp, #{8 * n}]" for n in (2, 4, 6)]
    lines += ["mov x5, x1", "mov x6, x2", "mov x8, x3", "add x7, x3, #64", "mov x9, x0"]
    lines += [f"add {here}, {before}, x7" for before, here in pairwise(_ROWS[:rows])]
    lines += [f"movi v{n}.16b, #0" for n in accumulators]
    lines += [*first, ".p2align 3", "1:", *body, "b.gt 1b"]
    lines += [f"str q{n}, [x6], #16" for n in accumulators]
    lines += [f"ldp d{8 + n}, d{9 + n}, [sp, #{8 * n}]" for n in (6, 4, 2)] + ["ldp d8, d9, [sp], #64", "ret"]
    return "\n".join(lines) + "\n"


def _woven(one: list[str], other: list[str]) -> list[str]:
    """one[0], other[0], one[1], other[1], ..."""
    return [line for pair in zip(one, other, strict=True) for line in pair]


def _products(instruction: str, temporaries: Four, weights: Two, rows: Two) -> list[str]:
    """Two columns times two rows of eight codes each."""
    pairs = [(w, a) for w in weights for a in rows]
    return [f"{instruction} v{t}.8h, v{w}.8b, v{a}.8b" for t, (w, a) in zip(temporaries, pairs, strict=True)]


def _into_sums(first: int, temporaries: Four) -> list[str]:
    return [f"sadalp v{first + n}.4s, v{t}.8h" for n, t in enumerate(temporaries)]


_EVEN, _ODD = (2, 3, 10, 11), (12, 13, 14, 15)


def xnnpack_2x8c8() -> str:
    """Two rows, eight columns, 16 deep: two products in 16 bits, then sadalp; loads one pair of columns ahead."""
    first = ["ldp d4, d5, [x5]", "ldp d0, d6, [x9], #16", "ldp d1, d7, [x10], #16", "ldp d8, d9, [x5, #64]"]

    def near(temporaries: Four) -> list[str]:
        return _products("smull", temporaries, (4, 5), (0, 1))

    def far(temporaries: Four) -> list[str]:
        return _products("smlal", temporaries, (8, 9), (6, 7))

    body = [*near(_EVEN), "ldp d4, d5, [x5, #16]", *far(_EVEN), "ldp d8, d9, [x5, #80]"]
    body += [*_woven(near(_ODD), _into_sums(16, _EVEN)), "ldp d4, d5, [x5, #32]", *far(_ODD), "ldp d8, d9, [x5, #96]"]
    body += [*_woven(near(_EVEN), _into_sums(20, _ODD)), "ldp d4, d5, [x5, #48]", *far(_EVEN), "ldp d8, d9, [x5, #112]"]
    last, end = _woven(near(_ODD), _into_sums(24, _EVEN)), _into_sums(28, _ODD)
    body += [last[0], "add x5, x5, #128", *last[1:]]
    body += _woven(far(_ODD), ["ldp d4, d5, [x5]", "subs x8, x8, #16", "ldp d0, d6, [x9], #16", end[0]])
    body += ["ldp d1, d7, [x10], #16", *end[1:3], "ldp d8, d9, [x5, #64]", end[3]]
    return _function(first, body, 2, range(16, 32))


def xnnpack_2x8c8_cortex_a53() -> str:
    """The same tile for the Cortex-A53, which loads 64 bits a cycle beside arithmetic: by ldr and ins, no ldp."""
    first = ["ldp d4, d5, [x5]", "ldp d0, d6, [x9], #16", "ldr x17, [x5, #64]", "ldp d1, d7, [x10], #16"]
    first += ["ldr x1, [x5, #16]"]
    body = []
    for pair, temporaries in enumerate((_EVEN, _ODD, _EVEN, _ODD)):
        near = _products("smull", temporaries, (4, 5), (0, 1))
        far = _products("smlal", temporaries, (8, 9), (6, 7))
        sums = _into_sums(16 + 4 * pair, temporaries)
        ahead = (24 + 16 * pair, 32 + 16 * pair) if pair < 3 else (136, 144)
        next_low = 128 if pair == 2 else ahead[1]
        body += [f"ldr d9, [x5, #{72 + 16 * pair}]", "ins v8.d[0], x17", *near[:2]]
        body += [f"ldr x17, [x5, #{80 + 16 * pair if pair < 3 else 192}]", *near[2:], f"ldr d5, [x5, #{ahead[0]}]"]
        body += ["ins v4.d[0], x1", *far[:2], f"ldr x1, [x5, #{next_low}]", *far[2:]]
        if pair < 2:
            body += sums
        elif pair == 2:
            body += [sums[0], "ldr x2, [x9], #8", sums[1], "ldr x3, [x10], #8", *sums[2:], "subs x8, x8, #16"]
        else:
            body += ["ldr d6, [x9], #8", "ins v0.d[0], x2", "ldr d7, [x10], #8", "ins v1.d[0], x3"]
            body += [*sums[:2], "add x5, x5, #128", *sums[2:]]
    return _function(first, body, 2, range(16, 32))


def _lane(half: int, weights: int, k: int) -> list[str]:
    """Code k of each of four rows times eight columns, the first or second half of sixteen."""
    low = 16 + 8 * half
    return [
        line
        for row in range(4)
        for line in (
            f"smlal v{low + row}.4s, v{weights}.4h, v{row}.h[{k}]",
            f"smlal2 v{low + 4 + row}.4s, v{weights}.8h, v{row}.h[{k}]",
        )
    ]


def xnnpack_4x16_lane_cortex_a53() -> str:
    """Four rows, sixteen columns, 8 deep: widened to 16 bits, multiplied by element into 32; loads by ldr and ins."""
    first = ["ldr d0, [x9], #8", "ldp d4, d6, [x5]", "ldr d1, [x10], #8", "ldr d2, [x11], #8", "ldr d3, [x12], #8"]
    first += ["ldr x17, [x5, #16]", *(f"sxtl v{n}.8h, v{n}.8b" for n in (0, 4, 1, 2, 3, 6))]
    held = (4, 6, 5, 4, 6, 5, 4, 6, 5, 4, 6, 5, 4, 6, 4, 5)  # the register of each group of eight weights, two for a k
    body: list[str] = []
    for group in range(13):
        products = _lane(group % 2, held[group], group // 2)
        widened = [f"sxtl v{held[group + 1]}.8h, v{held[group + 1]}.8b"] if group else []
        body += [*products[:4], *widened, *products[4:]]
        if group % 2:
            body += [f"ldr x17, [x5, #{8 * (group + 3)}]"]
        else:
            body += [f"ldr d{held[group + 3]}, [x5, #{8 * (group + 3)}]", f"ins v{held[group + 2]}.d[0], x17"]
    products = _lane(1, held[13], 6)
    body += [*products[:4], "sxtl v4.8h, v4.8b", "add x5, x5, #128", *products[4:6], "ldr x17, [x5]", *products[6:]]
    body += ["sxtl v5.8h, v5.8b", "ldr x1, [x9], #8", *_lane(0, held[14], 7), "ldr d6, [x5, #8]", "ins v4.d[0], x17"]
    products = _lane(1, held[15], 7)
    body += [*products[:2], "ldr x17, [x11], #8", *products[2:4], "ldr d1, [x10], #8", "ins v0.d[0], x1", *products[4:]]
    body += ["ldr d3, [x12], #8", "ins v2.d[0], x17", "sxtl v0.8h, v0.8b", "sxtl v1.8h, v1.8b", "ldr x17, [x5, #16]"]
    body += ["sxtl v4.8h, v4.8b", "sxtl v2.8h, v2.8b", "subs x8, x8, #8", "sxtl v3.8h, v3.8b", "sxtl v6.8h, v6.8b"]
    return _function(first, body, 4, range(16, 32))


def _ruy_half(instruction: str, lanes: str, columns: Two) -> list[str]:
    """Two columns times four rows, of the lower or upper eight codes: smull of "8b", smlal2 of "16b"."""
    pairs = [(column, row) for column in columns for row in range(4)]
    return [f"{instruction} v{8 + n}.8h, v{row}.{lanes}, v{column}.{lanes}" for n, (column, row) in enumerate(pairs)]


def _ruy_sums(first: int) -> list[str]:
    return [f"sadalp v{first + n}.4s, v{8 + n}.8h" for n in range(8)]


def ruy_4x4() -> str:
    """Four rows and columns, 16 deep, both packed: smull, smlal2, sadalp woven; loads of whole registers."""
    both = [(n, "x9" if n < 4 else "x5") for n in range(8)]
    first = [f"ld1 {{v{n}.16b}}, [{pointer}], #16" for n, pointer in both]
    first += [*_ruy_half("smull", "8b", (4, 5)), *_ruy_half("smlal2", "16b", (4, 5))]
    load = {n: f"ld1 {{v{n}.16b}}, [{pointer}], #16" for n, pointer in both}
    body = _woven(_ruy_sums(16), _ruy_half("smull", "8b", (6, 7)))
    body[1:1], body[4:4] = [load[4]], [load[5]]
    far = _ruy_half("smlal2", "16b", (6, 7))
    body += [*far[:4], load[6], *_woven(far[4:], [load[n] for n in range(4)])]
    rest = _woven(_ruy_sums(24), _ruy_half("smull", "8b", (4, 5)))
    rest[3:3] = [load[7]]
    body += [*rest, *_ruy_half("smlal2", "16b", (4, 5)), "subs x8, x8, #16"]
    return _function(first, body, 1, range(16, 32))


def ruy_4x4_in_order() -> str:
    """The same tile for in-order cores: halves of registers by ldr and ins between the multiplications."""
    first = [f"ld1 {{v{n}.16b}}, [{'x9' if n < 4 else 'x5'}], #16" for n in range(8)]
    first += [*_ruy_half("smull", "8b", (4, 5)), *_ruy_half("smlal2", "16b", (4, 5))]
    near = _woven(_ruy_sums(16), _ruy_half("smull", "8b", (6, 7)))
    beside = {
        0: ["ldr d4, [x5]"], 1: ["ldr x1, [x5, #8]"], 2: ["ldr d5, [x5, #16]"], 3: ["ldr x2, [x5, #24]"],
        6: ["add x9, x9, #64"], 7: ["add x5, x5, #64"], 9: ["subs x8, x8, #16"], 10: ["ldr x3, [x9, #-56]"],
        11: ["ldr x4, [x9, #-40]"], 12: ["ldr x7, [x9, #-24]"], 13: ["ldr x10, [x9, #-8]"],
    }  # fmt: skip
    body = [line for n, one in enumerate(near) for line in (one, *beside.get(n, []))]
    far = _ruy_half("smlal2", "16b", (6, 7))
    after = ["ldr x11, [x5, #-24]", "ldr d6, [x5, #-32]", "ldr d0, [x9, #-64]", "ldr d1, [x9, #-48]", "ins v4.d[1], x1"]
    body += [*far[:2], *_woven(far[2:7], after), far[7], "ins v5.d[1], x2"]
    sums, products = _ruy_sums(24), _ruy_half("smull", "8b", (4, 5))
    body += ["ldr d2, [x9, #-32]", "ins v0.d[1], x3", sums[0], "ldr d3, [x9, #-16]", "ins v1.d[1], x4", products[0]]
    body += ["ins v2.d[1], x7", sums[1], "ins v3.d[1], x10", products[1], "ldr d7, [x5, #-16]", sums[2]]
    body += ["ldr x12, [x5, #-8]", products[2], *_woven(sums[3:], products[3:])]
    last = _ruy_half("smlal2", "16b", (4, 5))
    body += [*last[:6], "ins v6.d[1], x11", last[6], "ins v7.d[1], x12", last[7]]
    return _function(first, body, 1, range(16, 32))


def qnnpack_8x8() -> str:
    """Eight rows and columns, 8 deep, both unsigned: widened to 16 bits, multiplied by element into 32."""
    body = ["ld1 {v27.8b}, [x5], #8", "usubl v27.8h, v27.8b, v25.8b"]
    for row, pointer in enumerate(_ROWS):
        body += [f"ld1 {{v{row}.8b}}, [{pointer}], #8", f"uxtl v{row}.8h, v{row}.8b"]
    body += ["ld1 {v28.8b}, [x5], #8"]
    for k in range(8):
        now, ahead = (27, 28) if k % 2 == 0 else (28, 27)
        products = [
            line
            for row in range(8)
            for line in (
                f"smlal v{8 + 2 * row}.4s, v{now}.4h, v{row}.h[{k}]",
                f"smlal2 v{9 + 2 * row}.4s, v{now}.8h, v{row}.h[{k}]",
            )
        ]
        widened = [f"usubl v{ahead}.8h, v{ahead}.8b, v25.8b"] if k < 7 else []
        body += [*products[:8], *widened, *products[8:]]
        body += [f"ld1 {{v{now}.8b}}, [x5], #8"] if k < 6 else ["subs x8, x8, #8"] if k == 6 else []
    return _function(["movi v25.8b, #128"], body, 8, range(8, 24))


def _dots(group: int, weights: int, row: int, element: int) -> str:
    return f"sdot v{16 + 4 * group + row % 4}.4s, v{weights}.16b, v{row}.4b[{element}]"


def xnnpack_4x16c4() -> str:
    """Four rows, sixteen columns, 8 deep by sdot; loads of whole registers."""
    body = ["ldr d0, [x9], #8", "ldr q4, [x5], #16", "ldr d1, [x10], #8", "ldr d2, [x11], #8", "ldr d3, [x12], #8"]
    body += ["ldr q5, [x5], #16"]
    for element in range(2):
        products = [_dots(group, 4 + group, row, element) for group in range(4) for row in range(4)]
        body += [*products[:2], "ldp q6, q7, [x5], #32", *products[2:10]]
        body += ["ldp q4, q5, [x5], #32", *products[10:]] if element == 0 else [*products[10:15]]
    body += ["subs x8, x8, #8", _dots(3, 7, 3, 1)]
    return _function([], body, 4, range(16, 32))


def xnnpack_4x16c4_cortex_a55() -> str:
    """The same tile, 16 deep, for the Cortex-A55: 64 bits of a load beside each sdot, by ldr and ins."""
    first = ["ldr d0, [x9], #8", "ldr q8, [x5], #16", "ldr d1, [x10], #8", "ldr d2, [x11], #8", "ldr d3, [x12], #8"]
    first += ["ldr d9, [x5], #8", "ldr x17, [x5], #8"]
    body: list[str] = []
    for step in range(16):  # four groups of columns for each of four codes of a row
        quarter, group = divmod(step, 4)
        rows = range(4) if quarter < 2 else range(4, 8)
        products = [_dots(group, 8 + group, row, quarter % 2) for row in rows]
        into, whole = 8 + (group + 2) % 4, 8 + (group + 1) % 4
        beside = [f"ldr d{into}, [x5], #8", f"ins v{whole}.d[1], x17", "ldr x17, [x5], #8"]
        body += [*_woven(products[:3], beside), products[3]]
        if quarter % 2 == 0:  # the rows of the next half
            body += [f"ldr d{(4 if quarter == 0 else 0) + group}, [{_ROWS[group]}], #8"]
        if step == 14:
            body += ["subs x8, x8, #16"]
    return _function(first, body, 4, range(16, 32))
