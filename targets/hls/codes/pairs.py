"""The C++ of pair forms: tables and a functor around them; the arithmetic is subbyte_hls_pair.h."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.pair_forms import PairForm, PairSteps, PairTable
from subbyte.targets.hls.codes.step_tables import signed_bits
from subbyte.targets.hls.codes.steps import StepsText, braces, steps_text
from subbyte.targets.hls.streams import Element

HEADER = "subbyte_hls_pair.h"


def pair_text(name: str, form: PairForm, a: Element, b: Element, y: Element) -> StepsText:
    """The functor `expression`: expression.template apply<LANE>(bits of a, bits of b), the bits of y's code.

    Raises: GraphError: a stream carries codes for which the form has no entry, or y does not hold its codes.
    """
    match form:
        case PairTable(table=table):
            by_bits = _by_bits(name, "b", b, form.b_low, _by_bits(name, "a", a, form.a_low, table).T).T
            if table.min() < y.low or table.max() > y.high:
                raise GraphError(f"'{name}' makes codes {table.min()}..{table.max()}, not in {y.low}..{y.high}")
            bits = y.encode(by_bits)
            array = f"static const ap_uint<{y.bits}> {name}_table[{bits.shape[0]}][{bits.shape[1]}]"
            constants = f"{array} = {braces(bits, '    ')};\n"
            body = [f"return subbyte_hls::pair_table<{y.bits}>(a, b, {name}_table);"]
        case PairSteps(product=product, steps=steps):
            text_a, left = _operand(name, "a", a, form.a_low, form.left)
            text_b, right = _operand(name, "b", b, form.b_low, form.right)
            joined = form.left[:, None] * form.right if product else form.left[:, None] + form.right
            sums = Element(int(joined.min()), int(joined.max()))
            after = steps_text(f"{name}_joined", steps, sums, y, 1, 1)
            constants = text_a + text_b + after.constants
            operator = "*" if product else "+"
            body = [
                f"const ap_int<{signed_bits(joined)}> joined = {left} {operator} {right};",
                f"return {after.expression}.template apply<0>(joined, 0);",
            ]
        case _:
            raise GraphError(f"'{name}' combines codes by a {type(form).__name__}, which has no C++")
    functor = (
        f"struct {name}_Pair {{\n"
        "    template <int LANE>\n"
        f"    ap_uint<{y.bits}> apply(const ap_uint<{a.bits}>& a, const ap_uint<{b.bits}>& b) const {{\n"
        "#pragma HLS INLINE\n" + "".join(f"        {line}\n" for line in body) + "    }\n"
        "};\n"
    )
    return StepsText(constants + functor, f"{name}_Pair()", (HEADER,))


def _operand(name: str, operand: str, element: Element, low: int, table: Codes) -> tuple[str, str]:
    """(constants, expression) of what an operand contributes: a shift where its table is one, else the table."""
    bits = signed_bits(table)
    shift = _shift(table)
    if shift is not None and not element.bipolar:
        code = f"{element.c_type}({operand})"
        code_bits = max(bits, signed_bits(np.array([element.low, element.high]) << shift)) + 1
        added = int(table[0]) - (low << shift)
        code_bits = max(code_bits, signed_bits(np.array([added])))
        return "", f"subbyte_hls::pair_shifted<{code_bits}, {shift}>({code}, ap_int<{code_bits}>({added}))"
    array = f"{name}_{operand}"
    by_bits = _by_bits(name, operand, element, low, table)
    text = f"static const ap_int<{bits}> {array}[{by_bits.size}] = {braces(by_bits, '    ')};\n"
    return text, f"subbyte_hls::pair_operand({operand}, {array})"


def _shift(table: Codes) -> int | None:
    """k where each entry is 2**k more than the one before."""
    steps = np.unique(np.diff(table))
    if steps.size != 1 or steps[0] <= 0 or steps[0] & (steps[0] - 1):
        return None
    return int(steps[0]).bit_length() - 1


def _by_bits(name: str, operand: str, element: Element, low: int, table: Codes) -> Codes:
    """`table` [codes from low on, ...] in the order of the bits of codes; 0 for bits that are none of its codes."""
    if element.low < low or element.high >= low + len(table):
        raise GraphError(
            f"'{name}' has entries for the codes {low}..{low + len(table) - 1} of its operand {operand}, "
            f"which arrives with codes {element.low}..{element.high}"
        )
    codes = np.arange(element.low, element.high + 1, 2 if element.bipolar else 1)
    by_bits = np.zeros((1 << element.bits, *table.shape[1:]), np.int64)
    by_bits[element.encode(codes)] = table[codes - low]
    return by_bits
