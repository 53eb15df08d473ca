"""A self-contained page on a quantized model: what was traded, layer by layer, and how it came about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape

from subbyte.compiler.assignment.problem import Assignment
from subbyte.compiler.draw.front import Axis, Point, bits_svg, front_svg
from subbyte.compiler.draw.page import STYLE
from subbyte.compiler.quantize.costs import COSTS
from subbyte.compiler.quantize.quantize import Goal, Quantized
from subbyte.compiler.quantize.summary import summary

_COLUMNS = {
    "layer": "name",
    "operator": "op",
    "weights": "weights",
    "MACs": "macs",
    "weight bits": "weight_bits",
    "activation bits": "activation_bits",
    "SNR of the weights in dB": "snr_db",
}


def report_page(name: str, result: Quantized, goal: Goal) -> str:
    """One HTML document that needs nothing else.  Args: name: of the model."""
    content = summary(result)
    title = escape(f"{name}, quantized")
    account = (
        f"{content['average_weight_bits']:.3g} bits a weight, {content['weight_bytes']:,} bytes of weights; "
        f"{content['samples']} samples, SHA-256 <code>{content['calibration']}</code>."
    )
    recipe = ([escape(choice), escape(json.dumps(value))] for choice, value in content["recipe"].items())
    bits = {layer: (choice.weight_bits, choice.activation_bits) for layer, choice in result.choices.items()}
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{account}</p>",
        *(f"<p>Note: {escape(note)}.</p>" for note in content["notes"]),
        _budgets(content["costs"]),
        _front(result, goal),
        "<h2>Layers</h2>",
        bits_svg("Bits of each layer", bits),
        _table(tuple(_COLUMNS), ([_cell(layer[key]) for key in _COLUMNS.values()] for layer in content["layers"])),
        _sensitivities(result, goal),
        "<h2>Recipe</h2>",
        _table(("choice", "value"), recipe),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    )


def _budgets(costs: dict[str, dict[str, float | None]]) -> str:
    if not costs:
        return ""
    rows = [
        (escape(name), escape(COSTS[name].unit), _cell(cost["value"]), _cell(cost["limit"]))
        for name, cost in costs.items()
    ]
    return "<h2>Budgets</h2>" + _table(("cost", "unit", "predicted", "at most"), rows)


def _front(result: Quantized, goal: Goal) -> str:
    """The best that could be had for each amount of the first budget's cost, and one choice for all layers beside."""
    assigned = result.assigned
    if assigned is None:
        return ""
    cost = next(iter(goal.budgets))

    def point(one: Assignment, label: str) -> Point:
        return Point(one.costs[cost], one.loss, label)

    picture = front_svg(
        f"Loss over {cost}",
        Axis(f"{cost} [{COSTS[cost].unit}]"),
        Axis(f"loss by {goal.sensitivity}", logarithmic=True),
        [point(one, ", ".join(map(str, one.choices.values()))) for one in assigned.front],
        chosen=point(assigned.assignment, "chosen"),
        uniform=[point(one, str(choice)) for choice, one in assigned.uniform.items()],
        limit=goal.budgets[cost],
    )
    return "<h2>What could be had</h2>" + picture


def _sensitivities(result: Quantized, goal: Goal) -> str:
    if result.assigned is None:
        return ""
    problem = result.assigned.problem
    every = list(dict.fromkeys(choice for of in problem.choices for choice in of))
    rows = []
    for layer, of, losses in zip(problem.layers, problem.choices, problem.loss, strict=True):
        found = dict(zip(of, losses, strict=True))
        cells = [
            f"<b>{found[c]:.3g}</b>" if c == result.choices[layer] else f"{found[c]:.3g}" if c in found else "-"
            for c in every
        ]
        rows.append([escape(layer), *cells])
    heading = f"<h2>Loss of each layer in each choice, by {escape(goal.sensitivity)}</h2>"
    return heading + _table(("layer", *map(str, every)), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
