from collections.abc import Sequence
from typing import Any, Final, TypedDict

from numpy.typing import NDArray

ABI_VERSION: Final[int]

class TensorDescription(TypedDict):
    name: str
    code: str
    dtype: str
    shape: tuple[int, ...]
    scale: list[float] | None
    zero_point: list[int] | None
    axis: int | None

class StepProfile(TypedDict):
    name: str
    sources: str
    kernel: str
    macs: int
    bytes: int
    tiles: int
    median_ns: int

def cpu_features() -> list[str]: ...

class LoadedModel:
    def __init__(
        self, path: str, weights_path: str | None = None, expected_digest: str | None = None, threads: int = 1
    ) -> None: ...
    @property
    def inputs(self) -> list[TensorDescription]: ...
    @property
    def outputs(self) -> list[TensorDescription]: ...
    @property
    def threads(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def features(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def scratch_bytes(self) -> int: ...
    @property
    def weights_bytes(self) -> int: ...
    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]: ...
    def run_into(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None: ...
    def profile(self, inputs: Sequence[NDArray[Any]], repeats: int = 1) -> list[StepProfile]: ...
    def benchmark(self, inputs: Sequence[NDArray[Any]], repeats: int, warmup: int = 0) -> list[int]: ...
