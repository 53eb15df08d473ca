"""What each float operation tells of its result, once its operands are known: one function a family of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import BOOL, FLOAT32, UINT8
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import quantize, to_real
from subbyte.compiler.numerics.softmax import softmax_table
from subbyte.passes.quantization import products
from subbyte.passes.quantization.coded import Coded
from subbyte.passes.quantization.demands import MOVES, ORDERS, Demand, Origin, clamp_bounds
from subbyte.passes.quantization.known import Folding, Known
from subbyte.passes.quantization.signs import sign_codes
from subbyte.passes.quantization.sums import Term, channelwise
from subbyte.passes.quantization.tables import arithmetic, normalized, prelu, real_function

_ARITHMETIC: dict[type[Node], type[qops.QBinary]] = {
    ops.Add: qops.QAdd,
    ops.Sub: qops.QSub,
    ops.Mul: qops.QMul,
    ops.Div: qops.QDiv,
}


def learn(node: Node, folding: Folding) -> None:
    """Find out what the float results of `node` are, and build the codes that were asked of them."""
    if any(t.dtype != FLOAT32 for t in node.types):
        return
    if isinstance(node, (*MOVES, *ORDERS)):
        _movement(node, folding)
        return
    known = _function(node, folding)
    build = _builder(node, folding)
    for demand, origin in folding.asked(node):
        found = known.quantized.get(demand)
        if found is None and known.sum is not None:
            found = known.sum.quantized(demand, origin)
        if found is None and known.coded is None:
            found = _clamped(node, demand, folding)
        if found is None and known.coded is None and build is not None and demand.is_plain:
            found = build(demand, origin)
        if found is None and known.coded is None and build is not None and demand.is_sign:
            found = sign_codes(build, demand, origin)
        if found is not None:
            known.quantized[demand] = found
    folding.learn(node.out, known)


# What the result is ---------------------------------------------------------------------------------------------------


def _function(node: Node, folding: Folding) -> Known:
    """The result as a function of codes, or as a sum of products."""
    clamp = clamp_bounds(node)
    if clamp is not None:
        x, low, high = clamp
        coded = folding.of(x).coded
        narrowed = coded.clamp(low, high, node.sources) if coded is not None else None
        if coded is not None and narrowed is not None:
            cuts = narrowed.codes != coded.codes
            return Known(_named(narrowed, folding.asked(node)) if cuts else narrowed)
    match node:
        case ops.Conv() | ops.ConvTranspose() | ops.MatMul() | ops.Gemm():
            return Known(sum=products.product(node, folding))
        case ops.Unary(x=x):
            return Known(_tabulated(node, folding.of(x).coded, lambda values: real_function(node, values)))
        case ops.Binary(a=a, b=b):
            return _binary(node, a, b, folding)
        case ops.Cast(x=x) if x.type.dtype == BOOL:
            return Known(_chosen(node, folding))
        case ops.PRelu(x=x, slope=slope):
            return Known(_with_constant(node, x, folding.constant(slope), folding, prelu))
        case ops.BatchNormalization(x=x):
            return _batch_normalization(node, x, folding)
    return Known()


def _tabulated(node: Node, coded: Coded | None, function: Callable[[Any], Any]) -> Coded | None:
    """function of a value that is a function of narrow codes: another table over the same codes."""
    if coded is None or not coded.has_table:
        return None
    values, axis = coded.values()
    return Coded(coded.codes, np.asarray(function(values), np.float32), axis, coded.sources + node.sources)


def _chosen(node: ops.Cast, folding: Folding) -> Coded:
    """A bool as a float: 1 or 0, a choice between two codes of scale 1; the Cast where only the float is wanted."""
    one, zero = (
        Constant.of(n, UINT8, quant=QuantParams(np.ones((), np.float32), np.zeros((), np.int64), n, n)).out
        for n in (1, 0)
    )
    codes = Where(folding.new(node.x), one, zero, sources=node.sources).out
    return Coded(codes, given=node.map_operands(folding.new).out)


def _with_constant(
    node: Node, x: Value, constant: NDArray[Any] | None, folding: Folding, function: Callable[[Any, Any], Any]
) -> Coded | None:
    """function(x, constant) of narrow codes and a constant for the whole tensor or for each channel of one axis."""
    coded = folding.of(x).coded
    if coded is None or constant is None or not coded.has_table or coded.codes.type.shape != node.type.shape:
        return None
    values, axis = coded.values()
    if constant.size == 1:
        return _tabulated(node, coded, lambda v: function(v, constant.reshape(())))
    wide = (1,) * (node.type.rank - constant.ndim) + constant.shape
    along = [i for i, extent in enumerate(wide) if extent > 1]
    if len(along) != 1 or axis not in (None, along[0]):
        return None
    table = np.asarray(function(values, constant.reshape(-1, 1)), np.float32)
    return Coded(coded.codes, table, along[0], coded.sources + node.sources)


def _binary(node: ops.Binary, a: Value, b: Value, folding: Folding) -> Known:
    function = arithmetic(node)
    constant_a, constant_b = folding.constant(a), folding.constant(b)
    summed = _affine(node, a, b, constant_a, constant_b, folding)
    if summed is not None:
        return summed
    left, right = folding.of(a).coded, folding.of(b).coded
    if left is not None and right is not None and left.codes == right.codes and left.codes.constant is None:
        if a.type.shape != b.type.shape or not left.has_table:
            return Known()
        (first, axis), (second, other_axis) = left.values(), right.values()
        if None not in (axis, other_axis) and axis != other_axis:
            return Known()
        sources = tuple(dict.fromkeys(left.sources + right.sources + node.sources))
        table = np.asarray(function(first, second), np.float32)
        return Known(Coded(left.codes, table, other_axis if axis is None else axis, sources))
    for x, other, swapped in ((a, constant_b, False), (b, constant_a, True)):
        coded = folding.of(x).coded
        if other is None or coded is None or coded.codes.constant is not None:
            continue
        if other.size > 1 and coded.is_affine and type(node) in _ARITHMETIC:
            continue  # integer arithmetic with the constant; a table for each channel would be larger
        return Known(_with_constant(node, x, other, folding, (lambda v, c: function(c, v)) if swapped else function))
    return Known()


def _affine(
    node: ops.Binary,
    a: Value,
    b: Value,
    constant_a: NDArray[Any] | None,
    constant_b: NDArray[Any] | None,
    folding: Folding,
) -> Known | None:
    """A sum of products plus, minus, times or divided by a constant for each of its channels."""
    for x, constant, operand, swapped in ((a, constant_b, b, False), (b, constant_a, a, True)):
        total = folding.of(x).sum
        if total is None or constant is None or node.type.shape != total.type.shape:
            continue
        values = channelwise(constant.astype(np.float64), total.type.shape, total.axis)
        addend = products.term(operand, total.type.shape, total.axis, folding)
        if values is None or addend is None:
            continue
        match node:
            case ops.Add():
                result = total.plus(addend, node.sources)
            case ops.Sub():
                minuend = total.times(np.float64(-1) * np.ones(()), ()) if swapped else total
                result = None if minuend is None else minuend.plus(Term(values if swapped else -values), node.sources)
            case ops.Mul():
                result = total.times(values, node.sources)
            case ops.Div() if not swapped and (values != 0).all():
                result = total.times(1 / values, node.sources)
            case _:
                result = None
        if result is not None:
            return Known(sum=result)
    return None


def _batch_normalization(node: ops.BatchNormalization, x: Value, folding: Folding) -> Known:
    parameters = [folding.constant(v) for v in (node.scale, node.bias, node.mean, node.variance)]
    scale, bias, mean, variance = (None if p is None else p.astype(np.float64) for p in parameters)
    if scale is None or bias is None or mean is None or variance is None:
        return Known()
    known = folding.of(x)
    if known.sum is not None and known.sum.axis == 1:
        gain = scale / np.sqrt(variance + np.float64(np.float32(node.epsilon)))
        scaled = known.sum.times(gain, node.sources)
        shifted = None if scaled is None else scaled.plus(Term(bias - mean * gain), ())
        return Known(sum=shifted)
    if known.coded is None or not known.coded.has_table or known.coded.codes.constant is not None:
        return Known()
    values, axis = known.coded.values()
    if axis not in (None, 1):
        return Known()
    along = [values[:, None] for values in (scale, bias, mean, variance)]
    table = normalized(values, along[0], along[1], along[2], along[3], node.epsilon)
    return Known(Coded(known.coded.codes, table, 1, known.coded.sources + node.sources))


# What can be built for a demand ---------------------------------------------------------------------------------------


def _clamped(node: Node, demand: Demand, folding: Folding) -> Value | None:
    """Codes of min(max(u, low), high) as clamped codes of u, unless u is a float: a NaN in it is no code of u."""
    clamp = clamp_bounds(node)
    if clamp is None or not demand.quant.is_per_tensor:
        return None
    x, low, high = clamp
    return folding.codes(x, demand.clamped(low, high))


Builder = Callable[[Demand, Origin], "Value | None"]


def _builder(node: Node, folding: Folding) -> Builder | None:
    """How the codes of an operation that is no function of one tensor are built, where its operands are codes."""
    match node:
        case ops.Binary(a=a, b=b) if type(node) in _ARITHMETIC:
            left, right = _operand(a, folding), _operand(b, folding)
            if left is None or right is None or (left.type.dtype.is_float and right.type.dtype.is_float):
                return None
            q_type = _ARITHMETIC[type(node)]
            return lambda d, o: q_type(left, right, d.dtype, d.quant, sources=o.sources, tensor=o.tensor).out
        case ops.Pow(a=a, b=b) if (
            b.constant is not None and (b.constant == 2).all() and a.type.shape == node.type.shape
        ):
            return _product(products.affine_codes(a, folding), None)
        case ops.Unary(function="Neg", x=a):
            return _product(products.affine_codes(a, folding), Constant.of(np.float32(-1), FLOAT32).out)
    single = node.operands[0] if node.operands else None
    x = None if single is None else products.affine_codes(single, folding)
    if x is None:
        return None

    def make(q_type: Callable[..., Node], *attributes: Any) -> Builder:
        return lambda d, o: q_type(x, d.dtype, d.quant, *attributes, sources=o.sources, tensor=o.tensor).out

    match node:
        case ops.AveragePool():
            return make(qops.QAveragePool, node.kernel, node.strides, node.pads, node.dilations, node.ceil_mode,
                        node.count_include_pad)  # fmt: skip
        case ops.ReduceMean(axes=axes, keepdims=keepdims):
            return make(qops.QReduceMean, axes, keepdims)
        case ops.ReduceSum(axes=axes, keepdims=keepdims):
            return make(qops.QReduceSum, axes, keepdims)
        case ops.ResizeLinear(sizes=sizes, scales=scales, coordinates=coordinates):
            return make(qops.QResizeLinear, sizes, scales, coordinates)
        case ops.Softmax(axis=axis) if x.type.dtype.bits <= 8:
            return lambda d, o: _softmax(x, axis, d, o)
    return None


def _product(x: Value | None, factor: Value | None) -> Builder | None:
    """x * factor, or x * x, for codes too wide for a table: f32(x * x) is what Pow(x, 2) is, and x * -1 is exact."""
    if x is None:
        return None
    other = x if factor is None else factor
    return lambda d, o: qops.QMul(x, other, d.dtype, d.quant, sources=o.sources, tensor=o.tensor).out


def _softmax(x: Value, axis: int, demand: Demand, origin: Origin) -> Value | None:
    quant = x.type.quant
    scale, _ = demand.quant.scalar()
    if quant is None or not 2.0**-30 <= scale <= 2.0**30:
        return None
    entries = x.type.dtype.max - x.type.dtype.min + 1  # 3 of bipolar codes, which lie 2 apart
    table = softmax_table(quant.scalar()[0], (entries - 1).bit_length())[:entries]
    return qops.QSoftmax(x, table, demand.dtype, demand.quant, axis, sources=origin.sources, tensor=origin.tensor).out


def _operand(value: Value, folding: Folding) -> Value | None:
    """An operand of narrow arithmetic: codes with one scale, or a float constant."""
    codes = products.affine_codes(value, folding)
    if codes is not None:
        return codes
    return value if value.constant is not None and value.type.dtype == FLOAT32 else None


# Data movement and order ----------------------------------------------------------------------------------------------


def _movement(node: Node, folding: Folding) -> None:
    """Codes move as the floats that they stand for; so does what is asked of the results."""
    outputs = [Value(node, index) for index in range(len(node.types))]
    floats = [operand for operand in node.operands if operand.type.dtype.is_float]
    moved = _moved_codes(node, floats, folding)
    if moved is not None and len(moved) == 1:
        moved = [_named(moved[0], folding.asked(node))]
    for output in outputs:
        total = folding.of(floats[0]).sum if len(floats) == 1 else None
        following = total.moved(node) if total is not None and isinstance(node, (ops.Reshape, ops.Transpose)) else None
        folding.learn(output, Known(None if moved is None else moved[output.index], following))
    if moved is not None or _cut_apart(node, floats, folding):
        return
    for output in outputs:
        for demand, origin in folding.asked(node, output.index):
            if demand.quant.is_static and demand.quant.is_per_tensor:
                _move_demanded(node, output, floats, demand, origin, folding)


def _cut_apart(node: Node, floats: list[Value], folding: Folding) -> bool:
    """Whether `node` takes channels of a sum that is asked for in several ways, so that each part is a sum of its own.

    A fused projection to queries, keys and values: one sum for each scale would compute all of them for each.
    """
    total = folding.of(floats[0]).sum if len(floats) == 1 else None
    if total is None or len(folding.demands.get(floats[0], {})) < 2:
        return False
    parts = [total.part(channels) for channels in channels_taken(node, total.axis)]
    if not parts or None in parts:
        return False
    for index, part in enumerate(parts):
        assert part is not None
        known = Known(sum=part)
        for demand, origin in folding.asked(node, index):
            codes = part.quantized(demand, replace(origin, tensor=""))
            if codes is not None:
                known.quantized[demand] = codes
        folding.learn(Value(node, index), known)
    return True


def channels_taken(node: Node, axis: int) -> list[range]:
    """For each output of `node` the entries of `axis` that it takes; [] where it takes a part of another axis too."""
    match node:
        case ops.Split(axis=along, sizes=sizes) if along == axis:
            ends = np.cumsum(sizes).tolist()
            return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        case ops.Slice(x=x):
            spans = node.spans()
            others = (len(span) == extent for i, (span, extent) in enumerate(zip(spans, x.type.shape, strict=True))
                      if i != axis)  # fmt: skip
            if all(others) and all(step == 1 for step in node.steps):
                return [spans[axis]]
    return []


def _move_demanded(
    node: Node, output: Value, floats: list[Value], demand: Demand, origin: Origin, folding: Folding
) -> None:
    """Q(move(u)) = move(Q(u)), where Q(u) is at hand. A float is quantized before it is moved where that moves less.

    Not before it is ordered: how NaN compares is the float operation's business. Where one side of a Where is at hand
    as codes, the other is quantized: that is no more than quantizing the result, and spares floats of the first.
    """
    grows = node.type.elements >= sum(operand.type.elements for operand in floats)
    moves = isinstance(node, MOVES)
    if isinstance(node, Where):
        grows = any(operand.constant is None and folding.codes(operand, demand) is not None for operand in floats)
    operands: dict[Value, Value] = {}
    for operand in floats:
        codes = folding.codes(operand, demand, of_floats=moves)
        if codes is None and moves and grows:
            codes = folding.quantize(operand, demand, folding.demands[operand][demand])
        if codes is None:
            return
        operands[operand] = codes
    of_floats = any(demand in folding.of(operand).of_floats for operand in floats)
    if isinstance(node, ops.Pad):
        node = node.replace(value=demand.codes(node.value) if node.mode == "constant" else 0)
    tensor = origin.tensor if len(node.types) == 1 else ""
    known = folding.of(output)
    (known.of_floats if of_floats else known.quantized)[demand] = folding.moved(node, operands, tensor)[output.index]


def _on_grid(value: Value, like: Coded) -> Coded | None:
    """A float constant all of whose numbers `like` has codes for, as such codes; else None."""
    real = value.constant
    if real is None or value.type.dtype != FLOAT32 or not like.is_affine or real.size == 0:
        return None
    quant, dtype = like.quant, like.codes.type.dtype
    scale, zero_point = quant.static()
    codes = np.asarray(quantize(real, scale, zero_point, dtype.min, dtype.max), dtype.numpy)
    of_type = TensorType(dtype, real.shape, quant.replace(qmin=int(codes.min()), qmax=int(codes.max())))
    same = np.array_equal(to_real(codes, quant).view(np.uint32), real.view(np.uint32))  # -0.0 has no code
    if of_type.stray_code(codes) is not None or not same:
        return None
    return Coded(Constant(codes, of_type, sources=value.node.sources).out)


def _named(moved: Coded, asked: Iterable[tuple[Demand, Origin]]) -> Coded:
    """`moved` or clamped, known by the tensor and the nodes of a quantization that leaves its codes as they are."""
    node = moved.codes.node
    if not isinstance(node, Constant):
        for demand, origin in asked:
            if origin.tensor and moved.requantized(demand, origin) == moved.codes:
                return replace(moved, codes=node.replace(tensor=origin.tensor, sources=origin.sources).out)
    return moved


def _moved_codes(node: Node, floats: list[Value], folding: Folding) -> list[Coded] | None:
    """The results as functions of moved codes, where all operands are functions of codes on one grid; else None."""
    known = [folding.of(operand).coded for operand in floats]
    first = next((c for c in known if c is not None), None)
    if first is None:
        return None
    known = [_on_grid(v, first) if c is None else c for v, c in zip(floats, known, strict=True)]
    coded = [c for c in known if c is not None]
    if len(coded) != len(known):
        return None
    quant, dtype = first.quant, first.codes.type.dtype
    if any(c.table is not None or c.codes.type.dtype != dtype or not c.quant.same_grid(quant) for c in coded[1:]):
        return None
    if coded[0].table is not None and (len(coded) > 1 or first.axis is not None):
        return None
    if not quant.is_per_tensor and not isinstance(node, (ops.Reshape, ops.Transpose)):
        return None
    if not first.is_affine and isinstance(node, (*ORDERS, ops.Pad)):
        return None  # the order of the codes is not that of the reals, and no code may stand for the padding
    if isinstance(node, ops.Pad):
        code = first.code_of(node.value) if node.mode == "constant" else 0
        if code is None:
            return None
        node = node.replace(value=code)
    try:
        moved = folding.moved(node, {operand: c.codes for operand, c in zip(floats, coded, strict=True)})
    except GraphError:
        if quant.is_per_tensor:
            raise
        return None  # a Reshape that splits or joins the axis of the scales
    return [Coded(value, first.table, None, first.sources) for value in moved]
