"""`subbyte compile --target hls`: the options of a project for high-level synthesis, and what is said of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subbyte.compiler.cli.output import number, print_json, print_table, progress

if TYPE_CHECKING:
    from subbyte.compiler.hls.compile import HlsDesign
    from subbyte.compiler.hls.options import HlsOptions
    from subbyte.compiler.pipeline import Options
    from subbyte.compiler.samples import Samples

_MOST_BYTES = 1 << 20

Part = Annotated[str | None, typer.Option("--part", help="hls: the FPGA, xc7z020 by default (`subbyte list parts`).")]
Clock = Annotated[float | None, typer.Option("--clock", metavar="MHZ", help="hls: the clock; usual for the part.")]
Fps = Annotated[float | None, typer.Option("--fps", help="hls: inferences a second to reach.")]
Latency = Annotated[str | None, typer.Option("--latency", metavar="20us", help="hls: the time of an inference.")]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="0.5|JSON", help='hls: of the part: a fraction, or {"lut": 30000, "dsp": 0.5}.'),
]
Folding = Annotated[
    Path | None,
    typer.Option(
        "--folding", metavar="FILE", help="hls: lanes by layer, {layer: {simd, pe, taps}}; others are chosen."
    ),
]
Interface = Annotated[
    str | None, typer.Option("--interface", help="hls: stream (AXI4-Stream) | memory (m_axi); stream by default.")
]
BusBits = Annotated[int | None, typer.Option("--bus-bits", help="hls: of a beat from and to memory; 64 by default.")]
Terms = Annotated[
    int | None,
    typer.Option("--terms", help="hls: shift and add for weights of so many powers of two; 1 by default, 0 for none."),
]
Golden = Annotated[
    Path | None,
    typer.Option("--golden", metavar="IN.npz", help="hls: samples for the testbench; a few random ones by default."),
]


def hls_options(
    *,
    part: str | None,
    clock: float | None,
    fps: float | None,
    latency: str | None,
    budget: str | None,
    folding: Path | None,
    interface: str | None,
    bus_bits: int | None,
    terms: int | None,
    rtl: bool,
) -> HlsOptions:
    """What was asked for, the rest by default.  Raises ModelError, UnsupportedError: it is not built."""
    from subbyte.compiler.hls.options import HlsOptions
    from subbyte.compiler.quantize.budgets import seconds

    given: dict[str, Any] = {
        "part": part,
        "clock_mhz": clock,
        "fps": fps,
        "latency": None if latency is None else seconds(latency),
        "budget": _text_or_file(budget),
        "folds": None if folding is None else read_folding(folding),
        "interface": interface,
        "bus_bits": bus_bits,
        "most_terms": terms,
    }
    options = HlsOptions(rtl=rtl, **{name: value for name, value in given.items() if value is not None})
    _ = options.goal  # an unknown part or an impossible goal is said now
    return options


def _text_or_file(budget: str | None) -> str | None:
    """The budget itself, or the content of the file of that name."""
    if budget is None or not budget.endswith(".json"):
        return budget
    return _read(Path(budget))


def read_folding(path: Path) -> Mapping[str, Any]:
    """Folds by layer from a JSON file, as report/folding.json holds them."""
    from subbyte.targets.hls.folding.read import folding_from

    return folding_from(_read(path), str(path))


def _read(path: Path) -> str:
    from subbyte.compiler.errors import ModelError

    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ModelError(f"'{path}' has more than {_MOST_BYTES} bytes; no such file is that long.")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"'{path}' cannot be read: {error}") from error


def compile_project(
    model: Path, options: Options, hls: HlsOptions, folder: Path | None, golden: Path | None, json: bool
) -> None:
    """Write the project of MODEL and say what it is estimated to take."""
    from subbyte.compiler.codegen.bundle import write_bundle
    from subbyte.compiler.hls.compile import design_of, project_of
    from subbyte.compiler.samples import read_samples

    with progress(f"folding {model.name} for {hls.part}"):
        made = design_of(model, options, hls)
    samples = None
    if golden is not None:
        types = {node.name: node.type for node in made.parts.whole.inputs}
        samples = list(read_samples(golden, types))
    with progress("evaluating golden vectors and writing the project"):
        bundle = project_of(made, samples)
        place = folder or Path(bundle.name)
        write_bundle(bundle, place, {})
    report = report_of(made, place)
    if json:
        print_json(report)
    else:
        _tell(made, report)


def report_of(made: HlsDesign, folder: Path) -> dict[str, Any]:
    """What `--json` prints."""
    found, macs = made.estimate, made.parts.macs
    clock = made.hls.goal.clock_mhz
    return {
        "project": str(folder),
        "target": "hls",
        "part": made.hls.device.full_name,
        "clock_mhz": clock,
        "met": made.folding.met,
        "frame_cycles": found.frame_cycles,
        "latency_cycles": found.latency_cycles,
        "fps": clock * 1e6 / found.frame_cycles,
        "latency_us": found.latency_cycles / clock,
        "resources": found.resources.as_dict(),
        "part_resources": made.hls.device.resources.as_dict(),
        "macs": {"processor": macs[0] + macs[2], "design": macs[1]},
        "reasons": list(made.folding.reasons),
    }


def _tell(made: HlsDesign, report: dict[str, Any]) -> None:
    rows = [
        (kind.upper(), f"{count:,}", f"{available:,}", f"{100 * count / available:.0f} %" if available else "-")
        for (kind, count), available in zip(report["resources"].items(), report["part_resources"].values(), strict=True)
    ]
    typer.echo(
        f"project {report['project']} for {report['part']} at {report['clock_mhz']:g} MHz, estimated, not synthesized:"
    )
    typer.echo(
        f"{report['fps']:,.0f} inferences/s ({report['frame_cycles']:,} cycles), {report['latency_us']:,.1f} us each"
        + ("" if report["met"] else "; THE GOAL IS NOT MET")
    )
    print_table("", ("resource", "design", "part", "share"), rows)
    for reason in report["reasons"]:
        typer.echo(reason)
    macs = report["macs"]
    if made.parts.reasons:
        nodes = ", ".join(label for label, _ in made.parts.reasons[:4]) + (
            ", ..." if len(made.parts.reasons) > 4 else ""
        )
        typer.echo(
            f"on the processor: {nodes}; {macs['processor']:,} of {macs['processor'] + macs['design']:,} "
            "multiply-accumulates (host/)"
        )
    typer.echo(f"simulate it: make -C {report['project']}/csim csim")


def verify_project(
    model: Path, options: Options, hls: HlsOptions, stimulus: Samples, against: str, max_steps: float | None, json: bool
) -> bool:
    """C simulation beside a reference: the outputs, and every stream between processes beside the interpreter."""
    from subbyte.compiler.cli.reference import compare_outputs
    from subbyte.compiler.codegen.bundle import write_bundle
    from subbyte.compiler.hls.compile import design_of, project_of
    from subbyte.compiler.hls.csim import simulate
    from subbyte.compiler.hls.module import HlsModule

    with progress(f"folding {model.name} for {hls.part}"):
        made = design_of(model, options, hls)
    with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
        with progress("evaluating golden vectors and writing the project"):
            bundle = project_of(made, list(stimulus))
            folder = Path(temporary) / bundle.name
            write_bundle(bundle, folder, {})
        with progress("simulating every stream"):
            streams = simulate(folder)
        with progress(f"comparing {stimulus.count} samples with {against}"):
            comparisons = compare_outputs(HlsModule(folder), made.parts.whole, model, stimulus, against)
    limit = max_steps if max_steps is not None else 0.0 if against == "interpreter" else float("inf")
    passed = streams.passed and all(comparison.is_within(limit) for comparison in comparisons.values())
    if json:
        outputs = {name: comparison.as_dict() for name, comparison in comparisons.items()}
        found = None if streams.mismatch is None else streams.mismatch.text
        print_json({"target": "hls", "ok": passed, "outputs": outputs, "streams": streams.words, "mismatch": found})
        return passed
    rows = [[name, c.count, c.different, number(c.max_steps), c.max_abs] for name, c in comparisons.items()]
    title = f"hls: {'agrees' if passed else 'DIFFERS'}"
    print_table(title, ("output", "values", "different", "max steps", "max abs"), rows)
    total = sum(streams.words.values())
    typer.echo(
        f"{len(streams.words)} streams, {total:,} words equal to the interpreter's"
        if streams.mismatch is None
        else streams.mismatch.text
    )
    return passed
