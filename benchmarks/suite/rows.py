"""What a table has in it: for each row the engines, the models that they run, and the ratios with floor and goal."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.isa_mask import LEVELS

NETWORK_PEERS = ("onnxruntime", "OpenVINO", "LiteRT")
LAYER_PEERS = (*NETWORK_PEERS, "torch")


@dataclass(frozen=True)
class Network:
    """A topology of benchmarks/topologies in a precision.

    "shared": the model of ../shared/models that `precision` names. "matrix_chain": that of benchmarks/gemv.py.
    """

    topology: str
    precision: str
    resolution: int | None = None

    @property
    def name(self) -> str:
        parts = [self.topology, self.precision, *([] if self.resolution is None else [str(self.resolution)])]
        return self.precision if self.topology == "shared" else "-".join(parts)


@dataclass(frozen=True)
class Entrant:
    """An engine with a network. name: in the table; the engine's where no other runs that engine."""

    engine: str
    network: Network
    name: str
    threads: int = 1


@dataclass(frozen=True)
class Comparison:
    """ratio = the fastest of `peers` / `ours`, both names of entrants. None: there is no floor, no goal."""

    ours: str
    peers: tuple[str, ...]
    floor: float | None = None
    goal: float | None = None


@dataclass(frozen=True)
class Row:
    """isa: what all engines may know of the processor, `native` or a level of benchmarks/isa_mask.py."""

    name: str
    title: str
    isa: str
    entrants: tuple[Entrant, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def target(self) -> str:
        """What subbyte compiles for."""
        return LEVELS.get(self.isa, "native")


def _beside_peers(
    name: str,
    title: str,
    isa: str,
    network: Network,
    *comparisons: Comparison,
    peers: tuple[str, ...] = NETWORK_PEERS,
    twin: Network | None = None,
    also: tuple[Entrant, ...] = (),
) -> Row:
    """subbyte on `network`, the peers on it too or on its `twin` of 8 bits."""
    theirs = tuple(Entrant(peer, twin or network, peer) for peer in peers)
    return Row(name, title, isa, (Entrant("subbyte", network, "subbyte"), *theirs, *also), comparisons)


def _versus(floor: float, goal: float, *peers: str) -> Comparison:
    return Comparison("subbyte", peers, floor, goal)


def _int8(topology: str, title: str, floor: float, goal: float, peers: tuple[str, ...] = NETWORK_PEERS) -> Row:
    network = Network(topology, "w8a8")
    comparison = _versus(floor, goal, "OpenVINO")
    return _beside_peers(topology, f"{title} W8A8", "native", network, comparison, peers=peers)


def _low_bit(precision: str, isa: str, floor: float, goal: float, against: tuple[str, ...]) -> Row:
    """ResNet18 whose first and last layer have 8 bits, beside the peers on the same topology in 8 bits."""
    network = Network("resnet18", precision)
    as_users_get_it = tuple(
        Entrant(peer, network, f"{peer}, on the {precision.upper()} file") for peer in ("onnxruntime", "OpenVINO")
    )
    return _beside_peers(
        f"resnet18-{precision}{_suffix(isa)}",
        f"ResNet18 {precision.upper()}",
        isa,
        network,
        _versus(floor, goal, *against),
        twin=Network("resnet18", "w8a8"),
        also=as_users_get_it if isa == "native" else (),
    )


def _blocks(bits: int, isa: str, *comparisons: Comparison) -> Row:
    title = f"GEMV 1x4096x4096, {bits}-bit blocks of 128, eight in a row"
    network = Network("matrix_chain", f"w{bits}a8")
    return _beside_peers(f"gemv-w{bits}{_suffix(isa)}", title, isa, network, *comparisons, peers=("onnxruntime",))


def _suffix(isa: str) -> str:
    return "" if isa == "native" else f"-{isa}"


_RESNET18 = Network("resnet18", "w8a8")
X86 = (
    _int8("resnet18", "ResNet18", 1.0, 1.2),
    _int8("resnet50", "ResNet50", 1.0, 1.2),
    _int8("vgg16", "VGG16", 1.0, 1.2),
    _int8("mobilenet_v1", "MobileNetV1", 1.2, 1.6),
    _int8("mobilenet_v2", "MobileNetV2", 1.2, 1.6),
    _int8("mini_lm", "MiniLM-L6, 128 tokens,", 1.2, 1.6, ("onnxruntime", "OpenVINO")),
    *(
        _beside_peers(name, title, "native", network, _versus(1.3, 2.0, "LiteRT"))
        for name, title, network in (
            ("resnet8", "MLPerf Tiny resnet8", Network("shared", "resnet8_int8")),
            ("kws", "MLPerf Tiny keyword spotting", Network("shared", "kws_int8")),
            ("autoencoder", "Autoencoder 640-128x4-8-128x4-640 W8A8", Network("autoencoder", "w8a8")),
        )
    ),
    *(
        _beside_peers(
            f"{topology}-avx2",
            f"{title} W8A8",
            "avx2",
            Network(topology, "w8a8"),
            _versus(0.95, 1.1, "OpenVINO"),
            _versus(2.0, 2.4, "LiteRT"),
        )
        for topology, title in (("resnet18", "ResNet18"), ("mobilenet_v1", "MobileNetV1"))
    ),
    _low_bit("w2a2", "avx2", 1.6, 2.2, NETWORK_PEERS),
    _low_bit("w2a2", "native", 1.0, 1.2, ("OpenVINO",)),
    _low_bit("w4a4", "avx2", 1.3, 1.6, NETWORK_PEERS),
    _beside_peers(
        "conv3x3_256-w1a1-avx2",
        "3x3, 256 channels, 14x14, four in a row, W1A1",
        "avx2",
        Network("conv3x3_256", "w1a1"),
        _versus(3.0, 4.0, *LAYER_PEERS),
        peers=LAYER_PEERS,
        twin=Network("conv3x3_256", "w8a8"),
    ),
    _blocks(2, "native", _versus(1.3, 1.6, "onnxruntime")),
    _blocks(4, "native", Comparison("subbyte", ("onnxruntime",))),
    Row(
        "resnet18-threads",
        "ResNet18 W8A8, two threads beside one",
        "native",
        (
            Entrant("subbyte", _RESNET18, "subbyte, 2 threads", threads=2),
            Entrant("subbyte", _RESNET18, "subbyte, 1 thread"),
            Entrant("OpenVINO", _RESNET18, "OpenVINO, 2 threads", threads=2),
        ),
        (Comparison("subbyte, 2 threads", ("subbyte, 1 thread",), 1.7, 1.9),),
    ),
)

_PRECISIONS = ("w8a8", "w4a8", "w2a8", "w4a4", "w3a3", "w2a2", "w1a2", "w1a1")
_ROWS_AND_WIDTH = ((1, 256), (1, 1024), (1, 2048), (16, 256), (16, 1024), (16, 2048), (128, 256), (128, 1024))


def _all_precisions(name: str, title: str, isa: str, topology: str, resolution: int) -> Row:
    """subbyte in every precision beside the peers in 8 bits."""
    ours = tuple(Entrant("subbyte", Network(topology, p, resolution), f"subbyte {p.upper()}") for p in _PRECISIONS)
    theirs = tuple(Entrant(peer, Network(topology, "w8a8", resolution), peer) for peer in LAYER_PEERS)
    comparisons = tuple(Comparison(one.name, LAYER_PEERS) for one in ours)
    return Row(f"{name}{_suffix(isa)}", title, isa, ours + theirs, comparisons)


LAYERS = tuple(
    row
    for isa in ("native", *LEVELS)
    for row in (
        *(
            _all_precisions(f"gemm-{m}x{k}x{k}", f"GEMM {m}x{k}x{k}, four in a row", isa, f"gemm_{k}", m)
            for m, k in _ROWS_AND_WIDTH
        ),
        _all_precisions("conv3x3-256", "3x3, 256 channels, 14x14, four in a row", isa, "conv3x3_256", 14),
        *(_blocks(bits, isa, Comparison("subbyte", ("onnxruntime",))) for bits in (2, 4, 8)),
    )
)

SUITES = {"x86": X86, "layers": LAYERS}
