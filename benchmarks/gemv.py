"""Chains of matrix products with weights in blocks, as language models multiply: MatMulNBits with 8-bit activations.

`python -m benchmarks.gemv OUT.onnx --bits 2 --layers 8` writes such a chain, and its input as OUT.npz. One row is a
matrix-vector product: each weight is read once for one multiplication, so what is timed is how fast weights arrive and
are unpacked. The layers of a chain have matrices of their own, which together are larger than caches keep.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.topologies.build import Built

_SEED = 21
_INTEGER_ACTIVATIONS = 4  # of the attribute accuracy_level


def matrix_chain(
    bits: int,
    *,
    layers: int = 8,
    size: int = 4096,
    block: int = 128,
    rows: int = 1,
    zero_points: bool = False,
    accuracy_level: int = _INTEGER_ACTIVATIONS,
) -> Built:
    """x [rows, size] float32 -> y, `layers` products with weights [size, size] of `bits` bits (2, 4 or 8).

    Scales keep the magnitude of what goes from layer to layer. zero_points: one for each block, else the operator's
    own, 2^(bits - 1).
    """
    random = np.random.default_rng(_SEED)
    blocks, middle = size // block, 1 << (bits - 1)
    deviation = ((middle * (middle - 1)) / 3 * size) ** -0.5  # of codes 1..2 * middle - 1 less their middle
    nodes, held = [], []
    name = "x"
    for layer in range(layers):
        codes = random.integers(1, 2 * middle, (size, blocks, block), dtype=np.uint8)
        scales = (deviation * random.uniform(0.7, 1.3, size * blocks)).astype(np.float32)
        constants = {f"b{layer}": _packed(codes, bits), f"scales{layer}": scales}
        if zero_points:
            zeros = random.integers(middle - 1, middle + 2, (size, blocks), dtype=np.uint8)
            constants[f"zeros{layer}"] = _packed(zeros, bits).reshape(-1)
        held += [numpy_helper.from_array(array, key) for key, array in constants.items()]
        result = f"y{layer}" if layer < layers - 1 else "y"
        sizes = {"K": size, "N": size, "bits": bits, "block_size": block, "accuracy_level": accuracy_level}
        of_layer: dict[str, Any] = {"name": f"/product_{layer}", "domain": "com.microsoft", **sizes}
        nodes.append(helper.make_node("MatMulNBits", [name, *constants], [result], **of_layer))
        name = result
    x, y = (helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, (rows, size)) for key in ("x", "y"))
    graph = helper.make_graph(nodes, f"chain_{bits}bit", [x], [y], held)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return Built(model, {"x": random.normal(size=(rows, size)).astype(np.float32)})


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """[..., n] -> [..., ceil(n * bits / 8)], the first code of a byte in its lowest bits."""
    apart = codes[..., None] >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(apart.reshape(*codes.shape[:-1], -1), axis=-1, bitorder="little")


def main(
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    bits: Annotated[int, typer.Option(help="Of a weight: 2, 4 or 8.")] = 2,
    layers: Annotated[int, typer.Option(min=1)] = 8,
    size: Annotated[int, typer.Option(min=16, help="Rows and columns of each matrix.")] = 4096,
    block: Annotated[int, typer.Option(min=16, help="Weights of a column that share a scale.")] = 128,
    rows: Annotated[int, typer.Option(min=1, help="Of the input: 1 is a matrix-vector product.")] = 1,
    zero_points: Annotated[bool, typer.Option(help="A zero point for each block.")] = False,
) -> None:
    """Write a chain of LAYERS products with weights of BITS bits."""
    if bits not in (2, 4, 8):
        raise typer.BadParameter(f"{bits} bits; 2, 4 and 8 are what MatMulNBits has", param_hint="--bits")
    if size % block:
        raise typer.BadParameter(f"{size} weights of a column are no whole blocks of {block}", param_hint="--block")
    built = matrix_chain(bits, layers=layers, size=size, block=block, rows=rows, zero_points=zero_points)
    onnx.save(built.model, output)
    inputs: dict[str, Any] = {name: array[None] for name, array in built.inputs.items()}
    np.savez(output.with_suffix(".npz"), **inputs)
    typer.echo(f"{output}: {layers} products of [{rows}, {size}] by [{size}, {size}], {built.model.ByteSize():,} bytes")


if __name__ == "__main__":
    typer.run(main)
