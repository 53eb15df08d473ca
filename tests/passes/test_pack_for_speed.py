"""Codes share bytes where all kernels that write and read them cost less together: one tensor alone, or a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT2, INT4, INT8, UINT2, UINT4, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.target import Kernel, Packs, Storage, Target, find_target
from subbyte.passes.choose_layout import choose_layout
from subbyte.passes.lower_to_kernels import lower_to_kernels
from subbyte.passes.pack_activations import pack_activations
from tests.passes.builders import codes_input, graph_of, largest_step, quant, random_inputs

GENERATOR = np.random.default_rng(9)
UINT1, INT1 = DType("uint", 1), DType("int", 1)
X86 = ("x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni")
ARM = ("armv7-a+neon", "cortex-a53", "cortex-a72", "cortex-a76")


def bits(of_type: TensorType) -> int | None:
    return None if of_type.layout is None else of_type.layout.bits


def results(graph: Graph) -> list[int | None]:
    return [bits(node.types[0]) for node in graph.operations()]


# Whether one tensor decides for another -------------------------------------------------------------------------------


def kernel(op: type[Node], cost: Callable[[Any], float]) -> Kernel:
    """A row that accepts everything."""
    anything = Path("kernels") / "none.h"
    return Kernel(op, "none", anything, Storage.ANY, lambda node: None, lambda node, facts: cost(node))  # type: ignore[arg-type, return-value]


def target_of(*kernels: Kernel) -> Target:
    facts = replace(find_target("portable").facts, packs_activations=Packs.FOR_SPEED, bytes_per_second=1e30)
    return replace(find_target("portable"), facts=facts, kernels=kernels)


def alike_costs(mixed: float, packed: float, plain: float) -> Callable[[Node], float]:
    """Costs of an operation whose tensors are packed in part, all, or not at all."""

    def cost(op: Node) -> float:
        shared = {bits(of_type) is not None for of_type in (*(v.type for v in op.operands), *op.types)}
        return mixed if len(shared) == 2 else packed if shared == {True} else plain

    return cost


def table(x: Value) -> Value:
    return qops.Lookup(x, np.array([0, 2, 1, 3], np.uint8), UINT2, quant(0.5, 0, UINT2)).out


def sum_of_two() -> Graph:
    """Two tables, the sum of what they give, and a table of that."""
    a, b = (table(codes_input(name, (3, 8), 0.5, 0, UINT2)) for name in ("a", "b"))
    total = qops.QAdd(a, b, UINT2, quant(0.5, 0, UINT2)).out
    return graph_of(ops.DequantizeLinear(total, FLOAT32).out, stage=Stage.QUANTIZED)


def flat(op: Node) -> float:
    return 1.0


@pytest.mark.parametrize(("packed", "expected"), [(1.0, [2, 2, 2, None]), (3.0, [None] * 4)])
def test_a_group_is_packed_together_where_no_tensor_of_it_would_be_alone(
    packed: float, expected: list[int | None]
) -> None:
    """The sum takes 2 without packed tensors, `packed` with three of them, and much more with one or two."""
    add = kernel(qops.QAdd, alike_costs(9.0, packed, 2.0))
    target = target_of(add, kernel(qops.Lookup, flat), kernel(ops.DequantizeLinear, flat))
    assert results(pack_activations(sum_of_two(), target)) == expected


def test_a_tensor_leaves_its_group_where_that_costs_less() -> None:
    """Reading the packed sum back takes as long as packing spares; its operands stay packed."""

    def reading(op: Any) -> float:
        return 1.0 if bits(op.x.type) is None else 9.0

    def adding(op: Any) -> float:
        return 2.0 - (bits(op.a.type) is not None) - 0.5 * (bits(op.b.type) is not None)

    target = target_of(kernel(qops.QAdd, adding), kernel(qops.Lookup, flat), kernel(ops.DequantizeLinear, reading))
    assert results(pack_activations(sum_of_two(), target)) == [2, 2, None, None]


def test_what_cannot_be_packed_leaves_its_group() -> None:
    refused = replace(kernel(qops.Lookup, flat), accepts=lambda op: bits(op.type) is None or op.x.node.name != "b")
    add = kernel(qops.QAdd, lambda op: 4.0 - sum(bits(v.type) is not None for v in (op.a, op.b, op.out)))
    target = target_of(add, refused, kernel(ops.DequantizeLinear, flat))
    assert results(pack_activations(sum_of_two(), target)) == [2, None, 2, None]


def test_bytes_that_are_moved_count() -> None:
    """All kernels take as long either way: the memory decides."""
    kernels = [kernel(op, flat) for op in (qops.QAdd, qops.Lookup, ops.DequantizeLinear)]
    target = target_of(*kernels)
    slow = replace(target, facts=replace(target.facts, bytes_per_second=1.0))
    assert results(pack_activations(sum_of_two(), target)) == [None] * 4
    assert results(pack_activations(sum_of_two(), slow)) == [2, 2, 2, None]


# On x86 and Arm -------------------------------------------------------------------------------------------------------


def convolution(x: Value, outputs: int, dtype: DType, of_weights: DType) -> Value:
    shape = (outputs, x.type.shape[1], 3, 3)
    w = Constant.of(
        GENERATOR.integers(of_weights.min, of_weights.max + 1, shape), of_weights, quant=quant(0.1, 0, of_weights)
    ).out
    r = Requantization(np.float32(0.01), None, 1, dtype.min, dtype.max)
    return qops.QConv(x, w, None, r, dtype, quant(0.3, 1, dtype), (1, 1), (1,) * 4, (1, 1), 1).out


def residual(dtype: DType, of_weights: DType, channels: int) -> Graph:
    """x + conv(conv(x)), twice, between codes of 8 bits."""
    x = convolution(codes_input("x", (1, 4, 9, 7), 0.1, 3, UINT8), channels, dtype, INT8)
    for _ in range(2):
        y = convolution(convolution(x, channels, dtype, of_weights), channels, dtype, of_weights)
        x = qops.QAdd(x, y, dtype, quant(0.4, 1, dtype)).out
    largest = ops.MaxPool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False).out
    mean = qops.QAveragePool(largest, UINT8, quant(0.01, 0, UINT8), (4, 3), (1, 1), (0,) * 4, (1, 1), False, False)
    return graph_of(ops.DequantizeLinear(mean.out, FLOAT32).out, stage=Stage.QUANTIZED)


def cost_of(graph: Graph, target: Target) -> float:
    total = 0.0
    for node in graph.operations():
        assert isinstance(node, KernelCall)
        moved = sum(value.type.bytes for value in node.operands if value.constant is None) + node.types[0].bytes
        total += target.kernel(type(node.op), node.kernel).cost(node.op, target.facts)
        total += moved / target.facts.bytes_per_second
    return total


@pytest.mark.parametrize("name", X86 + ARM)
@pytest.mark.parametrize("channels", [16, 20, 40])
@pytest.mark.parametrize(
    ("dtype", "of_weights"), [(UINT2, DType("int", 2)), (DType("uint", 1), DType("int", 1)), (UINT4, INT4)]
)
def test_packing_costs_no_more_and_needs_no_portable_kernel(
    dtype: DType, of_weights: DType, channels: int, name: str
) -> None:
    target = find_target(name)
    graph = choose_layout(residual(dtype, of_weights, channels), target)
    plain, packed = (lower_to_kernels(g, target) for g in (graph, pack_activations(graph, target)))
    assert cost_of(packed, target) <= cost_of(plain, target)
    families = [target.kernel(type(node.op), node.kernel).family for node in packed.operations()]  # type: ignore[attr-defined]
    assert set(families) == {target.family}
    for _ in range(2):
        assert largest_step(graph, packed, random_inputs(graph, GENERATOR)) == 0


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4", "x86-64-v4+avx512vnni+avx512vbmi"])
def test_residual_networks_of_two_bits_stay_packed_from_layer_to_layer(name: str) -> None:
    """Where sums are looked up: all codes of 2 bits share bytes, and nothing takes them apart between layers."""
    graph = lowered(residual(UINT2, INT2, 128), find_target(name), Options(remove_work=False))
    narrow = [node.types[0] for node in graph.operations() if node.types[0].dtype == UINT2]
    assert len(narrow) == 8
    assert {bits(of_type) for of_type in narrow} == {2}
    assert all(isinstance(node, KernelCall) and not isinstance(node.op, ops.Repack) for node in graph.operations()[1:])
