"""Where another engine's codes differ from ours, and whether each difference is a rounding tie of float32."""

from subbyte.compiler.trace.differences import TensorTrace
from subbyte.compiler.trace.executors import Executor, Simulation
from subbyte.compiler.trace.tracing import Tracer, trace

__all__ = ["Executor", "Simulation", "TensorTrace", "Tracer", "trace"]
