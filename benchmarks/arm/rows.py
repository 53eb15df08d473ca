"""What the tables have in them: layers, whole models, and the ratios that are asked of them with floor and goal."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.suite.rows import Network

PRECISIONS = ("w8a8", "w4a8", "w2a8", "w4a4", "w3a3", "w2a2", "w1a2", "w1a1")
EACH_KERNEL = ("w2a2", "w1a1")  # measured with every kernel that can, the others with the chosen one
LAYERS = {
    "conv3x3_256_once": "3x3, 256 channels, 14x14",
    "conv1x1_512_once": "1x1, 512 channels, 14x14",
}
MODELS = {
    Network("resnet18", "w8a8"): "ResNet18 W8A8, 224x224",
    Network("resnet18", "w4a4"): "ResNet18 W4A4, 224x224",
    Network("resnet18", "w2a2"): "ResNet18 W2A2, 224x224",
    Network("mobilenet_v1", "w8a8"): "MobileNetV1 W8A8, 224x224",
    Network("shared", "resnet8_int8"): "MLPerf Tiny resnet8",
    Network("shared", "kws_int8"): "MLPerf Tiny keyword spotting",
}
BIT_SERIAL = "bit_serial"  # in the names of our kernels that count bits


@dataclass(frozen=True)
class Faster:
    """How many times fewer cycles (instructions, where there is no model) `precision` takes than `than`."""

    precision: str
    than: str
    cores: tuple[str, ...]
    floor: float
    goal: float | None = None


WITHIN_OWN = (
    Faster("w2a2", "w8a8", ("cortex-a53", "cortex-a72"), 2.5, 3.0),
    Faster("w2a2", "w8a8", ("cortex-a7", "cortex-a9"), 2.0),
    Faster("w1a1", "w8a8", ("cortex-a53", "cortex-a72", "cortex-a7", "cortex-a9"), 5.0),
)
BESIDE_PEERS_FLOOR = 0.95  # W8A8: cycles of the best published loop over those of subbyte's
BESIDE_BIT_SERIAL = (1.0, 1.5)  # W2A2 on Armv8.0: cycles of the best bit-serial kernel over those of subbyte's
WHOLE_MODEL = (("resnet18-w2a2", "resnet18-w8a8"), "cortex-a53", 0.45)  # instructions, at most
