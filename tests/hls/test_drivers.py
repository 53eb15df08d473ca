"""Drivers, compiled and run: C against models of DMAs and registers, Python against a stand-in of `pynq`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.bus import bus_of
from subbyte.targets.hls.drivers import driver_files
from subbyte.targets.hls.drivers.border import columns_first
from subbyte.targets.hls.project.options import Tensor
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType

HERE = Path(__file__).parent
BYTE = Element(-128, 127)
SHUFFLED = (np.arange(24) * 5 + 3) % 24


def design(element: Element = BYTE) -> Design:
    """Two inputs and an output of 24 codes: pixel by pixel, as it is, shuffled."""
    kind = StreamType(element, 1, 1, 24, 8)
    types = {"image": INT8, "gain": INT8, "scores": INT32}
    orders = {"image": np.arange(24).reshape(3, 8).T.reshape(-1), "gain": np.arange(24), "scores": SHUFFLED}
    image, gain, scores = (
        Stream(name, kind, Value(Input(name, TensorType(types[name], (1, 3, 2, 4)))), order)
        for name, order in orders.items()
    )
    return Design("small", (), (image, gain), (scores,))


TENSORS = (
    Tensor("input", "image", (1, 3, 2, 4), "int8", (0.1,), (-3,)),
    Tensor("gain", "gain", (1, 3, 2, 4), "int8"),
    Tensor("scores \u00e4 */", "scores", (1, 3, 2, 4), "int32", (0.5, 2.0, 4.0), (0, 1, 2), axis=1),
)


def files(interface: str, element: Element = BYTE) -> dict[str, bytes]:
    made = design(element)
    return driver_files(made, bus_of(made, interface), TENSORS)


# Bare metal -----------------------------------------------------------------------------------------------------------


def run_c(interface: str, folder: Path) -> list[str]:
    """What the program around the driver prints."""
    for path, content in files(interface).items():
        (folder / Path(path).name).write_bytes(content)
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-g", "-fsanitize=address,undefined")
    model = ("-include", str(HERE / "simulated_dma.h"), f"-I{HERE}", f"-I{folder}")
    program = HERE / f"simulated_{interface}.c"
    subprocess.run(("gcc", *flags, "-c", folder / "small_driver.c", "-o", folder / "alone.o"), check=True)
    sources = (folder / "small_driver.c", program)
    subprocess.run(("gcc", *flags[:1], *flags[5:], *model, *sources, "-o", folder / "program"), check=True)
    return subprocess.run((folder / "program",), capture_output=True, text=True, check=True).stdout.splitlines()


def scores_of(image: Codes) -> list[int]:
    """What the model of the accelerator makes of a frame, as a tensor."""
    tensor = np.zeros(24, np.int64)
    tensor[SHUFFLED] = image + 100
    return tensor.tolist()


def test_c_drives_dmas(tmp_path: Path) -> None:
    image = np.arange(24).reshape(3, 8).T.reshape(-1)
    first, second = (np.concatenate([[-frame], image[1:]]) for frame in (0, 1))
    assert run_c("stream", tmp_path) == [
        " ".join(map(str, image.tolist())) + " ",
        "open 0",
        "run 0: " + " ".join(map(str, scores_of(first))),
        "run 0: " + " ".join(map(str, scores_of(second))),
        "flushed 6 invalidated 2 early 0",
        "null -1 unaligned -1 far -1 device -1",
        "fault -2: open 0 run 0",
        "fault -3: open 0 run 0",
        "fault -4: open 0 run 0",
        "stuck -2 null -1",
        "scale 0.100000001 -3",
    ]


def test_c_drives_an_accelerator_that_masters_memory(tmp_path: Path) -> None:
    frames = [" ".join(str(value + 100) for value in [-first, *range(1, 24)]) for first in (0, 1)]
    assert run_c("memory", tmp_path) == [
        "open 0",
        f"run 0: {frames[0]}",
        f"run 0: {frames[1]}",
        "flushed 6 invalidated 2",
        "null -1 unaligned -1 device -1",
        "hangs -2 busy -3 open -2",
    ]


def test_the_header_says_what_ports_are() -> None:
    header = files("stream")["driver/small_driver.h"].decode()
    assert "output scores: tensor 'scores ? * /' int32 [1, 3, 2, 4], 24 codes -128..127 as int8" in header
    assert "extern const float small_scores_scales[3];  // along axis 1" in header
    assert "uintptr_t dma_image;  // registers of its DMA" in header


# PYNQ -----------------------------------------------------------------------------------------------------------------


class Buffer(np.ndarray):
    """A stand-in for what pynq.allocate gives."""

    freed = 0
    device_address = 0
    log: list[str]

    def freebuffer(self) -> None:
        Buffer.freed += 1

    def flush(self) -> None:
        Buffer.log.append("flush")

    def invalidate(self) -> None:
        Buffer.log.append("invalidate")


class Channel:
    """A stand-in for a channel of pynq's DMA; finishes when the hardware says so."""

    def __init__(self, hardware: Hardware, name: str) -> None:
        self.hardware, self.name, self.error, self.waited = hardware, name, False, 0

    def transfer(self, buffer: Any) -> None:
        self.hardware.buffers[self.name] = buffer
        self.hardware.started.append(self.name)
        self.hardware.advance()

    @property
    def idle(self) -> bool:
        return self.hardware.done

    def wait(self) -> None:
        self.waited += 1


class Hardware:
    """A stand-in for an overlay: scores = image + gain in the order of the stream."""

    def __init__(self) -> None:
        self.buffers: dict[str, Any] = {}
        self.started: list[str] = []
        self.done, self.hangs = False, False
        self.dma_image = SimpleNamespace(sendchannel=Channel(self, "image"))
        self.dma_gain = SimpleNamespace(sendchannel=Channel(self, "gain"))
        self.dma_scores = SimpleNamespace(recvchannel=Channel(self, "scores"))
        self.accelerator = SimpleNamespace(read=self._read, write=self._write)
        self.words: dict[int, int] = {}
        self.allocated: list[Any] = []

    def advance(self) -> None:
        if set(self.buffers) == {"image", "gain", "scores"} and not self.hangs:
            self.buffers["scores"][:] = self.buffers["image"] + self.buffers["gain"]
            self.done = True

    def _read(self, offset: int) -> int:
        assert offset == 0
        return 0 if self.hangs and self.words.get(0) else 6 if self.done else 4

    def _write(self, offset: int, value: int) -> None:
        self.words[offset] = value
        if offset == 0:
            addresses = [self.words[0x10 + 12 * n] | self.words[0x14 + 12 * n] << 32 for n in range(3)]
            found = {buffer.device_address: buffer for buffer in self.allocated}
            self.buffers = dict(zip(("image", "gain", "scores"), (found[a] for a in addresses), strict=True))
            self.advance()


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Hardware:
    """A stand-in for the package pynq, around hardware of Python."""
    made = Hardware()
    Buffer.log, Buffer.freed = [], 0

    def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
        buffer = np.zeros(shape, dtype).view(Buffer)
        buffer.device_address = (1 << 33) + 4096 * len(made.allocated)
        made.allocated.append(buffer)
        return buffer

    pynq = ModuleType("pynq")
    pynq.allocate, pynq.Overlay = allocate, lambda bitstream: made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    return made


@pytest.fixture
def driver_of(tmp_path: Path) -> Callable[..., Any]:
    """The generated Python, imported."""

    def load(interface: str, element: Element = BYTE) -> Any:
        path = tmp_path / "small_pynq.py"
        path.write_bytes(files(interface, element)["driver/small_pynq.py"])
        spec = importlib.util.spec_from_file_location("small_pynq", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def sample() -> dict[str, Codes]:
    generator = np.random.default_rng(2)
    return {name: generator.integers(-60, 60, (1, 3, 2, 4)) for name in ("image", "gain")}


@pytest.mark.parametrize("interface", ["stream", "memory"])
def test_python_moves_tensors_in_the_order_of_the_streams(
    interface: str, hardware: Hardware, driver_of: Callable[..., Any]
) -> None:
    inputs = sample()
    with driver_of(interface).Small("small.bit") as accelerator:
        scores = accelerator.run(inputs)["scores"]
    image = inputs["image"].reshape(3, 8).T.reshape(-1)  # as the stream has it
    assert scores.shape == (1, 3, 2, 4)
    assert scores.dtype == np.int32
    assert scores.reshape(-1)[SHUFFLED].tolist() == (image + inputs["gain"].reshape(-1)).tolist()
    assert Buffer.freed == 3
    if interface == "stream":
        assert hardware.started == ["scores", "image", "gain"]  # outputs wait for what inputs bring
        assert hardware.dma_scores.recvchannel.waited == 1
    else:
        assert Buffer.log == ["flush", "flush", "invalidate"]
        assert hardware.words[0x14] == 2  # the upper half of an address


def test_python_checks_what_it_is_given(hardware: Hardware, driver_of: Callable[..., Any]) -> None:
    accelerator = driver_of("stream").Small("small.bit")
    good = sample()
    for name, wrong, error, text in (
        ("image", good["image"][0], ValueError, r"input 'image' has shape \(3, 2, 4\); expected \(1, 3, 2, 4\)"),
        ("image", good["image"] / 2, TypeError, "dtype float64; expected codes, int8"),
        ("gain", good["gain"] + 1000, ValueError, r"its codes are -128\.\.127"),
        ("gains", good["gain"], ValueError, "expected"),
    ):
        with pytest.raises(error, match=text):
            accelerator.run({**good, name: wrong})
    with pytest.raises(ValueError, match="holds 0; its codes are -1 and 1"):
        driver_of("stream", Element(-1, 1, bipolar=True)).Small("b").run({**good, "image": np.zeros((1, 3, 2, 4), int)})


@pytest.mark.parametrize("interface", ["stream", "memory"])
def test_python_gives_up_after_its_timeout(interface: str, hardware: Hardware, driver_of: Callable[..., Any]) -> None:
    hardware.hangs = True
    accelerator = driver_of(interface).Small("small.bit", timeout=0.01)
    with pytest.raises(TimeoutError, match=r"did not finish within 0\.01 s"):
        accelerator.run(sample())


def test_python_reports_errors_of_a_dma(hardware: Hardware, driver_of: Callable[..., Any]) -> None:
    hardware.dma_scores.recvchannel.error = True
    with pytest.raises(RuntimeError, match="the DMA of 'scores' met an error"):
        driver_of("stream").Small("small.bit").run(sample())


def test_python_knows_scales(driver_of: Callable[..., Any]) -> None:
    module = driver_of("stream")
    assert module.quantize("image", [0.05, 0.25, 100.0, -100.0]).ravel().tolist() == [-3, -1, 127, -128]
    codes = np.ones((1, 3, 2, 4), np.int8)
    assert module.dequantize("scores", codes)[0, :, 0, 0].tolist() == [0.5, 0.0, -4.0]
    with pytest.raises(ValueError, match="it has no scale"):
        module.quantize("gain", [1.0])


# Borders --------------------------------------------------------------------------------------------------------------


def test_orders_that_deal_channels_out_are_recognized() -> None:
    assert columns_first(np.arange(12)) == 1
    assert columns_first(np.arange(12).reshape(3, 4).T.reshape(-1)) == 3
    assert columns_first(np.array([0])) == 1
    assert columns_first(SHUFFLED) is None
    assert columns_first(np.array([0, 2, 1, 3, 5, 4])) is None


def test_ports_without_fitting_tensors_are_refused() -> None:
    made = design()
    with pytest.raises(GraphError, match="port 'scores' has no tensor"):
        driver_files(made, bus_of(made, "stream"), TENSORS[:2])
    wrong = Tensor("scores", "scores", (1, 3, 2, 4), "int8", (0.5, 2.0), (0, 1), axis=1)
    with pytest.raises(GraphError, match="has 2 scales and 2 zero points; none or 3 of each"):
        driver_files(made, bus_of(made, "stream"), (*TENSORS[:2], wrong))
