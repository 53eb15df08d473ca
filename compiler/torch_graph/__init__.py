"""Float graphs of stage IMPORTED on PyTorch: differentiable, for any number of samples at once.

What it computes is the interpreter's meaning up to float32 rounding; it serves what needs gradients: learned rounding,
Hessian traces, distilled inputs. `execute.py` runs graphs, the other files hold one function an operation.
"""

from __future__ import annotations

from subbyte.compiler.torch_graph.execute import TorchGraph

__all__ = ["TorchGraph"]
