"""The text form of graphs: what `--print` shows, what pass tests are written in, and what parses back to itself.

    graph "name" quantized {
      %0 = Input(name="x", of_type=uint8[1, 3, 8, 8] quant(scale=0.5, zero_point=128, qmin=0, qmax=255))
      %1 = Constant(value=@0, of_type=int8[4, 3, 3, 3])
      %2 = QConv(x=%0, w=%1, bias=none, ..., strides=[1, 1], group=1, sources=["/conv"]) -> uint8[1, 4, 8, 8] in 0..31
      output "y" = %2
    }
    resources {
      @0 = int8[4, 3, 3, 3] "base64..."
    }

A node names all its fields; `sources`, `tensor` and `layout` only where they say something. `%2.1` is output 1 of %2.
After the arrow stand the inferred types, and the range of codes where it is narrower than the dtype; they are checked
when read, and may be left out. Arrays are `dtype[shape] {elements}`; long ones stand under `resources`, little-endian
base64.
Floats are the shortest decimals that read back exactly. A `#` starts a comment.
"""

from __future__ import annotations

from subbyte.compiler.ir.text_parse import parse_graph
from subbyte.compiler.ir.text_print import print_graph

__all__ = ["parse_graph", "print_graph"]
