"""Every float island says what to change in the model."""

from __future__ import annotations

import pytest

from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.quantization.remedies import remedy
from tests.passes.builders import graph_of
from tests.passes.test_islands import CASES

EXPECTED = {
    "a float input": "quantize the input",
    "a moved float input": "behind that operation",
    "a scale per axis": "one scale for the whole tensor",
    "float weights": "quantize the weights",
    "weights on another axis": "one scale for each output channel",
    "weights of the run": "make the weights an initializer",
    "a sum": "behind the sum",
    "a wide function": "at most 8 bits, or compile with --integer-only",
    "a wide softmax": "at most 8 bits, or compile with --integer-only",
    "a normalization": "compile with --integer-only",
    "a normalization with codes of the run": "make the scale and the bias initializers",
    "a normalization of large numbers": "choose another scale for its result",
    "no quantization after": "between the two",
    "a float output": "end the model with",
    "a quantization per axis": "one scale for the tensor",
    "a table": "behind that operand",
    "another float type": "float32",
    "no integer form": "replace it",
}


@pytest.mark.parametrize("case", EXPECTED)
def test_the_remedy_of_an_island(case: str) -> None:
    build, _ = CASES[case]
    assert EXPECTED[case] in remedy(float_islands(fold_qdq(graph_of(build())))[0])
