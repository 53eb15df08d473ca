"""A self-contained page: the picture of a graph, its layers as a table, its float islands with what to change."""

from __future__ import annotations

from html import escape
from typing import Any

_COLUMNS = (
    ("operator", "op"),
    ("sources", "name"),
    ("inputs", "inputs"),
    ("weights", "weights"),
    ("output", "output"),
    ("accumulator", "accumulator"),
    ("sum bits", "sum_bits"),
    ("shape", "shape"),
    ("MACs", "macs"),
    ("bytes", "bytes"),
    ("requantize", "requantization"),
    ("proof", "proof"),
    ("kernel", "kernel"),
)
STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; color: #212529; }
table { border-collapse: collapse; font-size: 12px; }
th, td { padding: 3px 8px; border-bottom: 1px solid #dee2e6; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.float { background: #ffc9c9; }
.picture { overflow-x: auto; margin: 1em 0; }
"""


def to_page(name: str, svg: str, content: dict[str, Any]) -> str:
    """One HTML document.  Args: svg: the picture; content: what `explain --json` prints."""
    share = 100 * content["integer_macs"] / content["macs"] if content["macs"] else 100.0
    saved = content["saved"]
    account = (
        f"{content['integer_macs']:,} of {content['macs']:,} multiply-accumulates ({share:.4g} %) are integer. "
        f"Constant channels, zero weights and repeated work save {saved['macs']:,} of them, "
        f"and {saved['weights']:,} of {content['weights']:,} weights."
    )
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{account}</p>",
        f'<div class="picture">{svg}</div>',
        "<h2>Layers</h2>",
        _table([title for title, _ in _COLUMNS], [[layer[key] for _, key in _COLUMNS] for layer in content["layers"]]),
        "<h2>Float islands</h2>",
    ]
    islands = content["float_islands"]
    keys = ("op", "node", "reason", "remedy", "macs")
    titles = ["operator", "node", "why it is float", "what to change in the model", "MACs"]
    parts.append(_table(titles, [[island[key] for key in keys] for island in islands]) if islands else "<p>None.</p>")
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _table(titles: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "\n".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td>-</td>"
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    if isinstance(value, list):
        separator = "x" if all(isinstance(item, int) for item in value) else " "
        value = separator.join(map(str, value)) or "scalar"
    kind = ' class="float"' if str(value) in ("float16", "float32", "float64") else ""
    return f"<td{kind}>{escape(str(value))}</td>"
