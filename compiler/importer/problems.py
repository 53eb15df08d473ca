"""Everything that stands in the way of an import, gathered and told in one error."""

from __future__ import annotations

from subbyte.compiler.errors import ModelError, SubbyteError, UnsupportedError
from subbyte.compiler.importer.names import one_line, shown

_MAX_LISTED = 20
_MAX_NODES_NAMED = 5


_WAY_ON = "Export without it, or cut the model before it with onnx.utils.extract_model."
_WAYS_ON = {
    "DynamicQuantizeLinear": "Quantize the model statically, with calibration data.",
    **dict.fromkeys(("If", "Loop", "Scan"), "Export the model without control flow: trace it, and fix what decides."),
}


class Problems:
    """A list of errors, and of operators without a converter with the nodes that use them."""

    def __init__(self) -> None:
        self._errors: list[SubbyteError] = []
        self._unknown: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._errors or self._unknown)

    def add(self, error: SubbyteError) -> None:
        self._errors.append(error)

    def add_unknown_operator(self, operator: str, node: str) -> None:
        self._unknown.setdefault(operator, []).append(node)

    def raise_all(self) -> None:
        """One error for all: ModelError where something is broken, else UnsupportedError; nothing for an empty list."""
        if not self:
            return
        broken = [error for error in self._errors if not isinstance(error, UnsupportedError)]
        others = [error for error in self._errors if isinstance(error, UnsupportedError)]
        unknown = [_unknown_operator(operator, nodes) for operator, nodes in self._unknown.items()]
        texts = list(dict.fromkeys(map(_sentence, (*map(str, broken), *unknown, *map(str, others)))))
        kind = ModelError if broken else UnsupportedError
        if len(texts) == 1:
            raise kind(texts[0])
        listed = " ".join(f"({i}) {text}" for i, text in enumerate(texts[:_MAX_LISTED], start=1))
        more = f" And {len(texts) - _MAX_LISTED} more." if len(texts) > _MAX_LISTED else ""
        raise kind(f"the model cannot be imported for {len(texts)} reasons: {listed}{more}")


def _unknown_operator(operator: str, nodes: list[str]) -> str:
    named = ", ".join(map(shown, nodes[:_MAX_NODES_NAMED]))
    more = f" and {len(nodes) - _MAX_NODES_NAMED} more" if len(nodes) > _MAX_NODES_NAMED else ""
    way_on = _WAYS_ON.get(operator, _WAY_ON)
    return f"{operator} {named}{more}: this operator is not read ('subbyte list ops' shows those that are). {way_on}"


def _sentence(text: str) -> str:
    """One printable line that ends with a full stop."""
    return one_line(text if text.endswith((".", "!", "?")) else f"{text}.")
