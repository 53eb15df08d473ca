"""From QUANTIZED to LOWERED: signedness, storage, kernels. None of it changes a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, INT32, UINT8
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import Call, Kernel, Signs, Storage, Target, TargetFacts
from subbyte.passes.choose_layout import choose_layout
from subbyte.passes.choose_signs import choose_signs
from subbyte.passes.lower_to_kernels import is_view, lower_to_kernels

GENERATOR = np.random.default_rng(11)


def quant(scale: float = 0.1, zero_point: int = -3, qmin: int = -128, qmax: int = 127) -> QuantParams:
    return QuantParams(np.float32(scale), np.int64(zero_point), qmin, qmax)


def conv(x: Value, channels: int, source: str, kernel: int = 3, weight_dtype: Any = INT8) -> Value:
    shape = (channels, x.type.shape[1], kernel, kernel)
    weights = GENERATOR.integers(weight_dtype.min, weight_dtype.max, shape)
    weight_quant = QuantParams(np.float32(0.02), np.int64(weight_dtype.min + 100), weight_dtype.min, weight_dtype.max)
    pad = kernel // 2
    return qops.QConv(
        x,
        Constant.of(weights, weight_dtype, quant=weight_quant).out,
        Constant.of(GENERATOR.integers(-500, 500, channels), INT32).out,
        Requantization(np.full(channels, 0.002, np.float32), None, -3, -100, 127),
        INT8,
        quant(qmin=-100),
        (1, 1),
        (pad, pad, pad, pad),
        (1, 1),
        1,
        sources=(source,),
        tensor=source,
    ).out


def graph_of(inputs: list[Input], outputs: dict[str, Value]) -> Graph:
    return Graph("g", tuple(inputs), tuple(Output(n, v) for n, v in outputs.items()), Stage.QUANTIZED)


def target_of(**storage: Storage) -> Target:
    """A target whose kernels exist in name only: one a storage, for every operation."""

    def call(op: Node) -> Call:
        raise AssertionError("no code is generated here")

    by_type: dict[type[Node], Storage] = {
        qops.QConv: Storage.CHANNELS_LAST,
        ops.MaxPool: Storage.CHANNELS_LAST,
        qops.QGemm: Storage.ROW_MAJOR,
        **dict.fromkeys(
            (qops.QAdd, qops.Lookup, qops.Clamp, qops.OffsetCodes, ops.Concat, ops.Pad, ops.Repack, ops.Transpose),
            Storage.ANY,
        ),
        ops.DequantizeLinear: Storage.ANY,
        ops.QuantizeLinear: Storage.ANY,
    }
    kernels = tuple(
        Kernel(op, f"do_{op.__name__}", Path("none.h"), stored, call, lambda op, facts: 1.0)
        for op, stored in by_type.items()
    )
    facts = TargetFacts(signs=Signs.UNSIGNED if storage.get("unsigned") else Signs.ANY)
    return Target("named", "named", frozenset(), facts, (), "", "", kernels)


UNSIGNED = target_of(unsigned=Storage.ANY)
PLAIN = target_of()


def equal(a: Graph, b: Graph) -> None:
    samples = list(random_samples({node.name: node.type for node in a.inputs}, 3))
    inputs = samples[2]
    before, after = evaluate(a, inputs), evaluate(b, inputs)
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].dtype == after[name].dtype
        assert (before[name] == after[name]).all()


@pytest.fixture
def network() -> Graph:
    """Every operation that says in a field of its own what its codes are."""
    x = Input("x", TensorType(INT8, (1, 3, 6, 6), quant()))
    y = conv(x.out, 4, "conv")
    table = GENERATOR.integers(-128, 127, 256).astype(np.int8)
    z = qops.Lookup(y, table, INT8, quant(), sources=("table",)).out
    z = qops.Clamp(z, -50, 90, sources=("clamp",)).out
    z = qops.QAdd(z, y, INT8, quant(0.2, 5, -20, 127), sources=("add",)).out
    offset = Constant.of(GENERATOR.integers(-128, 127, (4, 1, 1)), INT8, quant=quant()).out
    z = qops.QMul(z, offset, INT8, quant(), sources=("mul",)).out
    z = ops.Pad(z, (0, 0, 1, 0, 0, 0, 0, 2), "constant", -3, sources=("pad",)).out
    z = ops.MaxPool(z, (2, 2), (1, 1), (0, 0, 1, 1), (1, 1), False, sources=("pool",)).out
    z = ops.Concat((z, z), 1, sources=("concat",)).out
    z = conv(z, 5, "uint8 weights", kernel=1, weight_dtype=UINT8)
    z = qops.QAveragePool(z, INT8, quant(), (7, 7), (1, 1), (0, 0, 0, 0), (1, 1), False, False).out
    sums = qops.QReduceMean(y, INT8, quant(), (2, 3), keepdims=False).out
    real = ops.DequantizeLinear(z, FLOAT32).out
    return graph_of([x], {"z": z, "real": real, "same": x.out, "sums": sums, "y": y})


def test_unsigned_codes_are_the_same_reals(network: Graph) -> None:
    moved = choose_signs(network, UNSIGNED)
    verify(moved)
    equal(network, moved)
    kinds = {type(node).__name__: node.types[0].dtype for node in moved.operations() if node.types[0].quant}
    assert {dtype for name, dtype in kinds.items() if name != "OffsetCodes"} == {UINT8}
    convolutions = [node for node in moved.operations() if isinstance(node, qops.QConv)]
    assert [node.w.type.dtype for node in convolutions] == [INT8, INT8]


def test_a_target_that_does_not_ask_gets_the_graph_as_it_is(network: Graph) -> None:
    assert choose_signs(network, PLAIN) is network


def test_layouts_change_no_number(network: Graph) -> None:
    laid_out = choose_layout(network, PLAIN)
    verify(laid_out)
    equal(network, laid_out)
    for node in laid_out.operations():
        if isinstance(node, (qops.QConv, ops.MaxPool)):
            assert node.type.order == node.x.type.order == (0, 2, 3, 1)


def repacked_bytes(graph: Graph) -> int:
    return sum(n.type.bytes for n in graph.operations() if isinstance(n, ops.Repack) and not is_view(n))


def test_a_transpose_from_channels_last_is_a_view() -> None:
    x = Input("x", TensorType(INT8, (1, 6, 6, 3), quant()))
    y = conv(ops.Transpose(x.out, (0, 3, 1, 2)).out, 4, "conv")
    z = ops.Transpose(y, (0, 2, 3, 1)).out
    laid_out = choose_layout(graph_of([x], {"z": z}), PLAIN)
    assert repacked_bytes(laid_out) == 0
    assert all(is_view(node) for node in laid_out.operations() if isinstance(node, ops.Transpose))


def test_codes_are_repacked_rather_than_floats() -> None:
    x = Input("x", TensorType(FLOAT32, (1, 3, 6, 6)))
    y = conv(ops.QuantizeLinear(x.out, INT8, quant()).out, 4, "conv")
    z = ops.DequantizeLinear(qops.Clamp(y, -90, 90).out, FLOAT32).out
    laid_out = choose_layout(graph_of([x], {"z": z}), PLAIN)
    assert repacked_bytes(laid_out) == (3 + 4) * 36


def test_a_value_is_repacked_once_for_all_who_need_it() -> None:
    x = Input("x", TensorType(INT8, (1, 3, 6, 6), quant()))
    outputs = {str(i): conv(x.out, 4, str(i)) for i in range(3)}
    laid_out = choose_layout(graph_of([x], outputs), PLAIN)
    assert sum(isinstance(n, ops.Repack) and n.x == x.out for n in laid_out.operations()) == 1


def test_axes_of_one_element_are_never_repacked() -> None:
    x = Input("x", TensorType(INT8, (1, 8, 1, 1), quant()))
    y = conv(x.out, 4, "conv", kernel=1)
    laid_out = choose_layout(graph_of([x], {"y": ops.Reshape(y, (1, 4)).out}), PLAIN)
    lowered = lower_to_kernels(laid_out, PLAIN)
    assert [type(node) for node in lowered.operations() if not isinstance(node, View)] == [KernelCall]


def test_constants_are_stored_like_their_neighbours() -> None:
    x = Input("x", TensorType(INT8, (1, 3, 4, 5), quant()))
    other = Constant.of(GENERATOR.integers(-128, 127, (1, 4, 4, 5)), INT8, quant=quant()).out
    y = qops.QAdd(conv(x.out, 4, "conv"), other, INT8, quant()).out
    laid_out = choose_layout(graph_of([x], {"y": y}), PLAIN)
    equal(graph_of([x], {"y": y}), laid_out)
    add = next(node for node in laid_out.operations() if isinstance(node, qops.QAdd))
    assert add.b.type.order == add.type.order == (0, 2, 3, 1)


@pytest.mark.parametrize(
    ("shape", "perm", "expected"),
    [((2, 3), (1, 0), False), ((1, 3), (1, 0), True), ((2, 1, 3), (1, 0, 2), True), ((2, 3, 4), (0, 2, 1), False)],
)
def test_a_view_moves_no_byte(shape: tuple[int, ...], perm: tuple[int, ...], expected: bool) -> None:
    assert is_view(ops.Transpose(Input("x", TensorType(INT8, shape)).out, perm)) is expected


def test_sources_and_tensors_survive(network: Graph) -> None:
    lowered = lower_to_kernels(choose_layout(choose_signs(network, UNSIGNED), UNSIGNED), _with_all(UNSIGNED))
    found = {source for node in lowered.operations() for source in node.sources}
    assert {"conv", "table", "clamp", "add", "mul", "pad", "pool", "concat", "uint8 weights"} <= found
    equal(network, lowered)


def _with_all(target: Target) -> Target:
    def call(op: Node) -> Call:
        raise AssertionError("no code is generated here")

    more = tuple(
        Kernel(op, f"do_{op.__name__}", Path("none.h"), Storage.ANY, call, lambda op, facts: 1.0)
        for op in (qops.QMul, qops.QAveragePool, qops.QReduceMean)
    )
    return Target("named", "named", frozenset(), target.facts, (), "", "", target.kernels + more)


def test_what_has_no_kernel_is_named_all_at_once(network: Graph) -> None:
    with pytest.raises(UnsupportedError) as error:
        lower_to_kernels(network, PLAIN)
    assert all(name in str(error.value) for name in ("QMul 'mul'", "QAveragePool", "QReduceMean"))


def test_the_cheapest_kernel_that_accepts_is_chosen() -> None:
    def call(op: Node) -> Call:
        raise AssertionError("no code is generated here")

    def row(symbol: str, cost: float, accepts: bool) -> Kernel:
        return Kernel(qops.Clamp, symbol, Path("none.h"), Storage.ANY, call, lambda o, f: cost, lambda o: accepts)

    rows = (row("dear", 3.0, True), row("picky", 1.0, False), row("first", 2.0, True), row("second", 2.0, True))
    x = Input("x", TensorType(INT8, (4,), quant()))
    graph = graph_of([x], {"y": qops.Clamp(x.out, 0, 5).out})
    lowered = lower_to_kernels(graph, Target("t", "t", frozenset(), TargetFacts(), (), "", "", rows))
    assert [node.kernel for node in lowered.operations() if isinstance(node, KernelCall)] == ["first"]
