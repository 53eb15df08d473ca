"""Sums of products in ONNX."""

from __future__ import annotations

from subbyte.compiler.exporter.writer import Writer, writes
from subbyte.compiler.ir import ops


@writes(ops.Conv)
def write_conv(writer: Writer, node: ops.Conv) -> None:
    writer.emit_on(
        node,
        "Conv",
        node.x,
        node.w,
        node.b,
        kernel_shape=node.w.type.shape[2:],
        strides=node.strides,
        pads=node.pads,
        dilations=node.dilations,
        group=node.group,
    )


@writes(ops.ConvTranspose)
def write_conv_transpose(writer: Writer, node: ops.ConvTranspose) -> None:
    writer.emit_on(
        node,
        "ConvTranspose",
        node.x,
        node.w,
        node.b,
        kernel_shape=node.w.type.shape[2:],
        strides=node.strides,
        pads=node.pads,
        dilations=node.dilations,
        group=node.group,
        output_padding=node.output_padding if any(node.output_padding) else None,
    )


@writes(ops.MatMul)
def write_matmul(writer: Writer, node: ops.MatMul) -> None:
    writer.emit_on(node, "MatMul", node.a, node.b)


@writes(ops.Gemm)
def write_gemm(writer: Writer, node: ops.Gemm) -> None:
    writer.emit_on(
        node,
        "Gemm",
        node.a,
        node.b,
        node.c,
        alpha=float(node.alpha),
        beta=float(node.beta),
        transA=int(node.transpose_a),
        transB=int(node.transpose_b),
    )
