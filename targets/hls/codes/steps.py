"""The C++ of step forms: constants and a functor around them; the arithmetic is subbyte_hls_steps.h."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.codes.step_tables import (
    Stairs,
    compared,
    levels,
    saturated,
    search_bits,
    signed_bits,
    stairs_of,
)
from subbyte.targets.hls.streams import Element
from subbyte.targets.hls.texts import wrapped

HEADER = "subbyte_hls_steps.h"


@dataclass(frozen=True)
class StepsText:
    """constants: arrays and the type of the functor, C++ for namespace scope; expression: an object of that type."""

    constants: str
    expression: str
    headers: tuple[str, ...] = (HEADER,)


def steps_text(name: str, form: StepForm, sums: Element, y: Element, lanes: int, channels: int) -> StepsText:
    """The functor `expression`: expression.template apply<LANE>(acc, fold), the bits of y's code of a channel.

    Channel fold * lanes + LANE; acc: a sum, any ap_int or ap_uint that holds `sums`; all names begin with `name`.

    Raises: GraphError: a form for so many rows does not fit the channels, or its codes do not fit y.
    """
    if form.rows not in (1, channels):
        raise GraphError(f"'{name}' has {channels} channels and steps for {form.rows}; one row each, or one, is needed")
    arrays = _Arrays(name, lanes, channels)
    match form:
        case Unchanged():
            if y.bipolar or sums.low < y.low or sums.high > y.high:
                raise GraphError(f"'{name}' hands sums {sums.low}..{sums.high} on as codes {y.low}..{y.high}")
            return StepsText("", f"subbyte_hls::Unchanged<{y.bits}>()")
        case CompareSteps(staircase=staircase):
            body = _compare(arrays, stairs_of(staircase, y), y.bits)
        case SearchSteps(staircase=staircase):
            body = _search(arrays, saturated(stairs_of(staircase, y)), y.bits)
        case FixedPoint():
            body = _fixed_point(arrays, form, y)
        case _:
            raise GraphError(f"'{name}' requantizes by a {type(form).__name__}, which has no C++")
    return StepsText(arrays.text() + _functor(f"{name}_Steps", y.bits, arrays.pragmas, body), f"{name}_Steps()")


def _functor(name: str, bits: int, pragmas: list[str], body: list[str]) -> str:
    lines = "".join(f"        {line}\n" for line in body)
    return (
        f"struct {name} {{\n"
        "    template <int LANE, typename Acc>\n"
        f"    ap_uint<{bits}> apply(const Acc& acc, int fold) const {{\n"
        "#pragma HLS INLINE\n" + "".join(f"#pragma HLS {pragma}\n" for pragma in pragmas) + "        (void)fold;\n"
        f"{lines}"
        "    }\n"
        "};\n"
    )


class _Arrays:
    """Constant arrays [lanes][words of channels][...], or [1][1][...] where all channels share a row."""

    def __init__(self, name: str, lanes: int, channels: int) -> None:
        self.name, self.lanes, self.folds = name, lanes, -(-channels // lanes)
        self.pragmas: list[str] = []
        self._texts: list[str] = []

    def add(self, suffix: str, values: Codes, c_type: str, partition: bool = False) -> str:
        """Declares int64 [rows] or [rows, n] and returns how a lane reads its own; `partition`: all n at once."""
        rows = values if len(values) == 1 or (values != values[0]).any() else values[:1]
        lanes, folds = (1, 1) if len(rows) == 1 else (self.lanes, self.folds)
        padded = np.zeros((lanes * folds, *rows.shape[1:]), np.int64)
        padded[: len(rows)] = rows
        by_lane = padded.reshape(folds, lanes, *rows.shape[1:]).swapaxes(0, 1)
        array = f"{self.name}_{suffix}"
        extents = "".join(f"[{extent}]" for extent in by_lane.shape)
        self._texts.append(f"static const {c_type} {array}{extents} = {braces(by_lane, '    ')};\n")
        if lanes > 1:
            self.pragmas.append(f"ARRAY_PARTITION variable = {array} complete dim = 1")
        if partition and by_lane.ndim == 3 and by_lane.shape[2] > 1:
            self.pragmas.append(f"ARRAY_PARTITION variable = {array} complete dim = 3")
        return f"{array}[{'LANE' if lanes > 1 else 0}][{'fold' if folds > 1 else 0}]"

    def text(self) -> str:
        return "".join(self._texts)


def _compare(arrays: _Arrays, stairs: Stairs, y_bits: int) -> list[str]:
    stairs = compared(stairs)
    count = stairs.steps.shape[1]
    steps = arrays.add("steps", stairs.steps, f"ap_int<{stairs.bits}>", partition=True)
    number = count.bit_length()
    return [
        _sum(stairs.bits, (stairs.low, stairs.high) if stairs.saturates else None),
        f"const ap_uint<{number}> reached = subbyte_hls::compare_steps<{number}>(sum, {steps});",
        _result(arrays, stairs, y_bits),
    ]


def _sum(bits: int, live: tuple[int, int] | None) -> str:
    """Declares `sum`: acc as ap_int<bits>."""
    if live is None:
        return f"const ap_int<{bits}> sum(acc);"
    return f"const ap_int<{bits}> sum = subbyte_hls::saturated<{bits}, {live[0]}LL, {live[1]}LL>(acc);"


def _search(arrays: _Arrays, stairs: Stairs, y_bits: int) -> list[str]:
    number = search_bits(stairs.steps.shape[1])
    bits = stairs.bits
    lines = [_sum(bits, (stairs.low, stairs.high) if stairs.saturates else None), "const ap_uint<1> none = 0;"]
    above = "none"
    for level, steps in enumerate(levels(stairs, number)):
        array = arrays.add(f"steps{level}", steps, f"ap_int<{bits}>")
        found = "reached" if level == number - 1 else f"upper{level + 1}"
        lines.append(f"const ap_uint<{level + 1}> {found} = subbyte_hls::search_step<{level}>(sum, {above}, {array});")
        above = found
    return [*lines, _result(arrays, stairs, y_bits)]


def _result(arrays: _Arrays, stairs: Stairs, y_bits: int) -> str:
    """What returns the bits of the code from the number of steps `reached`."""
    if stairs.codes is not None:
        codes = arrays.add("codes", stairs.codes & ((1 << y_bits) - 1), f"ap_uint<{y_bits}>")
        return f"return {codes}[reached.to_uint()];"
    first = arrays.add("first", stairs.first, f"ap_int<{signed_bits(stairs.first)}>")
    if stairs.falling.all() or not stairs.falling.any():
        falling = "true" if stairs.falling.any() else "false"
        return f"return subbyte_hls::count_from<{y_bits}, {falling}>({first}, reached);"
    falls = arrays.add("falls", stairs.falling.astype(np.int64), "ap_uint<1>")
    return (
        f"return {falls} != 0 ? subbyte_hls::count_from<{y_bits}, true>({first}, reached) "
        f": subbyte_hls::count_from<{y_bits}, false>({first}, reached);"
    )


def _fixed_point(arrays: _Arrays, form: FixedPoint, y: Element) -> list[str]:
    bits = signed_bits(np.append(form.at, form.ends))
    low, high = form.low, form.high
    if y.bipolar:
        raise GraphError(f"'{arrays.name}' makes bipolar codes by fixed point; two codes are told apart by one step")
    if low < y.low or high > y.high:
        raise GraphError(f"'{arrays.name}' clamps to {low}..{high}, which codes {y.low}..{y.high} do not hold")
    products = Element(*form.product_range())
    multiplier = arrays.add("multiplier", form.multiplier, f"ap_int<{signed_bits(form.multiplier)}>")
    offset = arrays.add("offset", form.offset, f"ap_int<{signed_bits(form.offset)}>")
    code_bits = signed_bits(np.array([low, high]))
    numbers = f"{products.bits + (not products.signed)}, {form.shift}, {low}, {high}, {code_bits}"
    call = f"fixed_point<{numbers}>(sum, {multiplier}, {offset})"
    if form.tie is not None:
        tie = arrays.add("tie", form.tie, f"ap_int<{signed_bits(form.tie)}>")
        call = f"fixed_point_ties<{numbers}, {form.ties_to}>(sum, {multiplier}, {offset}, {tie})"
    lines = [
        _sum(bits, form.live),
        f"const ap_int<{code_bits}> code = subbyte_hls::{call};",
    ]
    if not form.exceptions:
        return [*lines, f"return ap_uint<{y.bits}>(code);"]
    at = arrays.add("at", form.at, f"ap_int<{bits}>", partition=True)
    add_bits = signed_bits(form.add)
    add = arrays.add("add", form.add, f"ap_int<{add_bits}>", partition=True)
    return [
        *lines,
        f"return ap_uint<{y.bits}>(code + subbyte_hls::exceptions<{add_bits}>(sum, {at}, {add}));",
    ]


def braces(values: Codes, indent: str) -> str:
    """An initializer; rows of numbers are wrapped."""
    if values.ndim > 1:
        rows = [braces(row, indent + "    ") for row in values]
        joined = "{" + ", ".join(rows) + "}"
        if len(joined) + len(indent) <= 100 and "\n" not in joined:
            return joined
        return "{\n" + ",\n".join(indent + row for row in rows) + "}"
    numbers = [_literal(value) for value in values.tolist()]
    joined = "{" + ", ".join(numbers) + "}"
    return joined if len(joined) + len(indent) <= 120 else "{\n" + wrapped(numbers, indent) + "}"


def _literal(value: int) -> str:
    return str(value) if abs(value) < 1 << 31 else f"{value}LL"
