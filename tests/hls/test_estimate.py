"""Estimates: formulas at their edges, layers and actors alike, and what the report says."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm
from subbyte.targets.hls import registry  # noqa: F401 - registers the traces of actors
from subbyte.targets.hls.actors import Convert, Multiplier, Product
from subbyte.targets.hls.estimate import Estimate, arithmetic, estimate
from subbyte.targets.hls.estimate.layers import conversion, layer_cycles, layer_resources
from subbyte.targets.hls.estimate.memories import Style, blocks, fifo, ram, rom, ultra_blocks
from subbyte.targets.hls.estimate.page import page
from subbyte.targets.hls.estimate.report import report_files
from subbyte.targets.hls.expand import expand
from subbyte.targets.hls.folding import Goal, choose_folding
from subbyte.targets.hls.folding.choose import _folding
from subbyte.targets.hls.folding.network_problem import problem_of
from subbyte.targets.hls.layers import Flattening, Fold, Network
from subbyte.targets.hls.parts import PARTS, find_part
from subbyte.targets.hls.resources import KINDS, NONE, Resources, total
from subbyte.targets.hls.schedule.depths import depths_of
from subbyte.targets.hls.schedule.simulate import simulate
from subbyte.targets.hls.streams import Element, Stream
from subbyte.targets.hls.trace import trace
from tests.hls.networks import mlp, residual, square, sums

PART = find_part("xc7z020")


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [(1, 1, 1), (16384, 1, 1), (16385, 1, 2), (512, 36, 1), (512, 37, 2), (513, 36, 2), (2048, 9, 1), (1024, 36, 2)],
)
def test_blocks_of_ram(depth: int, width: int, expected: int) -> None:
    assert blocks(depth, width) == expected


def test_blocks_of_ultra_ram() -> None:
    assert (ultra_blocks(4096, 72), ultra_blocks(4097, 72), ultra_blocks(1, 73)) == (1, 2, 2)


def test_memories_are_where_they_are_the_smaller_share() -> None:
    assert rom("weights", 3, 1, 40).style is Style.WIRES
    assert rom("weights", 3, 1, 40).resources == NONE
    assert rom("weights", 2, 64, 10).resources.lut == 20
    assert rom("weights", 2, 512, 36).style is Style.BLOCKS
    assert rom("weights", 2, 512, 36).resources == Resources(bram18=2)
    assert ram("lines", 1, 1, 8).style is Style.REGISTERS
    assert ram("lines", 1, 4096, 72, ultra=True).resources == Resources(uram=1)
    assert ram("lines", 1, 64, 8, ultra=True).style is Style.LUTS


def test_fifos_grow_from_registers_to_shift_registers_to_memories() -> None:
    styles = [fifo(depth, 8).style for depth in (2, 3, 128, 2048)]
    assert styles == [Style.REGISTERS, Style.SHIFT_REGISTERS, Style.SHIFT_REGISTERS, Style.BLOCKS]


@pytest.mark.parametrize("kind", ["lut", "ff", "bram18"])
def test_memories_never_shrink_with_more_words_or_bits_where_their_kind_stays(kind: str) -> None:
    sizes = [1, 2, 31, 32, 33, 64, 65, 255, 256, 257, 1000, 4096, 20000]
    for made in (lambda d, w: ram("", 1, d, w), lambda d, w: rom("", 1, d, w), fifo):
        for first, second in itertools.pairwise(sizes):
            for fixed in (1, 7, 36, 100):
                for small, large in (
                    (made(first, fixed), made(second, fixed)),
                    (made(fixed, first), made(fixed, second)),
                ):
                    if small.style is large.style:
                        assert getattr(small.resources, kind) <= getattr(large.resources, kind)


def test_products_are_made_of_luts_or_slices() -> None:
    assert arithmetic.multiplier(8, 8).dsp == 0
    assert arithmetic.multiplier(8, 8, made_of=Multiplier.DSP) == Resources(dsp=1)
    assert arithmetic.multiplier(10, 9).dsp == 1
    assert arithmetic.multiplier(10, 9, made_of=Multiplier.FABRIC).dsp == 0
    assert arithmetic.multiplier(26, 19).dsp == 4
    assert arithmetic.multiplier(4, 4, constant=True).lut < arithmetic.multiplier(4, 4).lut


@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize("constant", [True, False])
def test_sums_of_products_grow_with_lanes_and_bits(product: Product, constant: bool) -> None:
    bipolar = product is Product.XNOR
    weights = np.array([[-1, 1]] if bipolar or product is Product.ADD else [[-8, 4]])

    def luts(lanes: int, bits: int) -> int:
        element = Element(-1, 1, True) if bipolar else Element(0, (1 << bits) - 1)
        return arithmetic.dot_product(arithmetic.factor_of(product, element, weights, 1), lanes, constant).lut

    assert [luts(lanes, 4) for lanes in (1, 2, 3, 8, 17)] == sorted(luts(lanes, 4) for lanes in (1, 2, 3, 8, 17))
    assert luts(17, 4) > luts(1, 4)
    assert luts(8, 8) >= luts(8, 4)


def test_xnor_is_cheaper_than_adding_and_shifts_than_multipliers() -> None:
    def luts(product: Product, element: Element, weights: list[int], terms: int = 0) -> int:
        factor = arithmetic.factor_of(product, element, np.array(weights), terms)
        return arithmetic.dot_product(factor, 16, False).lut

    bipolar, byte = Element(-1, 1, True), Element(0, 255)
    assert luts(Product.XNOR, bipolar, [-1, 1]) < luts(Product.ADD, bipolar, [-1, 1])
    assert luts(Product.SHIFT, byte, [-64, 64], 1) < luts(Product.MULTIPLY, byte, [-64, 63])


def test_steps_take_what_their_form_takes() -> None:
    sums_element, y = Element(-1000, 1000), Element(0, 7)
    at = np.sort(np.random.default_rng(0).integers(-900, 900, (12, 7)), axis=1)
    layer = sums("", residual().inputs[0], 12)
    assert isinstance(layer.steps, CompareSteps)
    stairs = replace(layer.steps.staircase, steps=at)
    forms: tuple[StepForm, ...] = (
        CompareSteps(stairs),
        SearchSteps(stairs),
        FixedPoint(np.full(12, 70000), np.zeros(12), 20, 0, 7, np.zeros((12, 0)), np.zeros((12, 0)), -1000, 1000),
    )
    compare, search, fixed = (arithmetic.steps(form, sums_element, y, 4, 3).all for form in forms)
    assert compare.lut > search.lut
    assert compare.dsp == search.dsp == 0
    assert fixed.dsp == 4


@pytest.fixture(scope="module")
def networks() -> tuple[Network, ...]:
    return (mlp([12, 8, 5]), mlp([1, 1]), residual())


FOLDS = (Fold(), Fold(3, 5), Fold(2, 2), Fold(99, 99))


@pytest.mark.parametrize("fold", FOLDS)
def test_layers_cost_what_their_actors_do(networks: tuple[Network, ...], fold: Fold) -> None:
    """Cycles and resources before expansion are those of the actors after it, and of the FIFO behind a window."""
    for network in networks:
        folding = {layer.name: fold for layer in network.layers}
        found = estimate(expand(network, folding), PART, 100)
        rows = {row.name: row for row in found.actors}
        fifos = {row.name: row.resources for row in found.fifos}
        for layer in network.layers:
            if isinstance(layer, Flattening):
                continue
            own = [rows[name] for name in (layer.name, f"{layer.name}_window") if name in rows]
            resources = total(row.resources for row in own) + fifos.get(f"{layer.name}_windows", NONE)
            assert layer_cycles(layer, fold) == max(row.cycles for row in own), layer.name
            assert layer_resources(layer, fold) == resources, layer.name


@pytest.mark.parametrize("taps", [1, 3, 9])
def test_windows_of_several_taps_cost_what_their_actors_do(taps: int) -> None:
    layer = residual().layers[0]
    network = Network("one", (layer,), layer.inputs, layer.outputs, ("x",), ("y",))
    fold = Fold(3, 2, taps)
    found = estimate(expand(network, {layer.name: fold}), PART, 100)
    own = [row for row in found.actors if row.name.startswith("conv1")]
    assert layer_cycles(layer, fold) == max(row.cycles for row in own)
    between = [row.resources for row in found.fifos if row.name == "conv1_windows"]
    assert layer_resources(layer, fold) == total([*(row.resources for row in own), *between])


def test_conversions_cost_what_their_actors_do(networks: tuple[Network, ...]) -> None:
    for network in networks:
        design = expand(network, {layer.name: Fold(3, 5) for layer in network.layers})
        rows = {row.name: row for row in estimate(design, PART, 100).actors}
        for actor in design.actors:
            if isinstance(actor, Convert):
                cycles, resources = conversion(actor.x.type, actor.y.type)
                assert (cycles, resources) == (rows[actor.name].cycles, rows[actor.name].resources)


def test_a_problem_predicts_the_expanded_design() -> None:
    """Where FIFOs have their least depth: all resources of a chain, and its cycles."""
    network = mlp([24, 16, 12, 5])
    problem = problem_of(network, PART.resources, PART.resources)
    random = np.random.default_rng(5)
    for _ in range(5):
        choice = tuple(int(random.integers(len(options))) for options in problem.options)
        found = estimate(expand(network, _folding(problem, choice)), PART, 100)
        assert problem.resources(choice) == found.resources
        assert problem.cycles(choice) == found.frame_cycles


def made(network: Network, fps: float) -> Estimate:
    folding = choose_folding(network, Goal(100, fps=fps), PART)
    design = expand(network, folding.folding)
    depths = depths_of(design)
    design = replace(design, depths=depths.words)
    reasons = {name: depth.reason for name, depth in depths.fifos.items()}
    return estimate(design, PART, 100, folding.budget, reasons, simulate(design, 1).first_latency)


def test_cycles_are_those_of_the_simulated_schedule() -> None:
    network = residual()
    folding = choose_folding(network, Goal(100, fps=2e5), PART).folding
    design = expand(network, folding)
    design = replace(design, depths=depths_of(design).words)
    found, simulated = estimate(design, PART, 100), simulate(design, 4)
    assert simulated.period == found.frame_cycles
    assert simulated.first_latency == found.latency_cycles


@pytest.mark.parametrize("network", [mlp([24, 16, 12, 5]), mlp([97, 89, 83])])
def test_latency_without_full_fifos_is_the_simulated_one(network: Network) -> None:
    design = expand(network, choose_folding(network, Goal(100, fps=1e5), PART).folding)
    design = replace(design, depths=depths_of(design).words)
    found = estimate(design, PART, 100)
    assert found.latency_cycles == simulate(design, 1).first_latency


def test_the_sum_of_all_rows_is_the_total() -> None:
    found = made(mlp([24, 16, 5]), 1e6)
    rows = total(row.resources for row in (*found.actors, *found.fifos))
    assert found.resources == rows
    assert found.fits
    assert not replace(found, budget=Resources(1, 1, 0, 0, 0)).fits


def test_padding_is_told() -> None:
    rows = {row.name: row for row in estimate(expand(mlp([7, 5]), {"gemm1": Fold(4, 3)}), PART, 100).actors}
    assert rows["gemm1"].waste == pytest.approx(1 - 35 / (4 * 12))


def test_the_json_holds_what_the_page_says() -> None:
    network = residual()
    folding = choose_folding(network, Goal(100, fps=2e5), PART)
    design = expand(network, folding.folding)
    found = estimate(design, PART, 100, folding.budget)
    files = report_files(found, folding, network)
    read = json.loads(files["report/estimate.json"])
    assert read["frame_cycles"] == found.frame_cycles
    assert read["resources"] == found.resources.as_dict()
    assert [row["name"] for row in read["actors"]] == [actor.name for actor in design.actors]
    assert [row["name"] for row in read["fifos"]] == [stream.name for stream in design.streams]
    assert read["folding"]["met"] is True
    text = files["report/estimate.md"]
    assert "not a synthesis result" in text
    for actor in design.actors:
        assert f"| {actor.name} |" in text
    assert files == report_files(found, folding, network)


def test_a_page_of_a_design_that_does_not_fit_says_by_how_much() -> None:
    found = replace(made(mlp([24, 16, 5]), 1e6), budget=Resources(100, 10**6, 10, 10, 0))
    assert f"over its budget (`|`) by {found.resources.lut - 100} LUT" in page(found)


def test_a_page_gives_the_reasons_of_fifos_and_folding() -> None:
    text = page(made(mlp([24, 16, 5]), 1e6), ["the bus is narrow"])
    assert "* the bus is narrow" in text
    assert "a word leaves while the next comes" in text


def test_resources_add_up() -> None:
    a = Resources(1, 2, 3, 4, 5)
    assert a + a == a * 2
    assert (a * 3) - a == a * 2
    assert a.within(a)
    assert not (a + Resources(uram=1)).within(a)
    assert list(a.as_dict()) == list(KINDS)


def test_parts_have_more_flip_flops_than_luts() -> None:
    assert all(part.resources.ff == 2 * part.resources.lut for part in PARTS)


def test_a_window_of_a_frame_of_one_pixel() -> None:
    layer = sums("conv", replace(residual().inputs[0], height=1, width=1, order=np.arange(3)), 2, square(3, 1))
    network = Network("one", (layer,), layer.inputs, layer.outputs, ("x",), ("y",))
    design = expand(network, {})
    assert layer_cycles(layer, Fold()) == max(trace(actor).iterations for actor in design.actors[:2])
    assert isinstance(design.inputs[0], Stream)
