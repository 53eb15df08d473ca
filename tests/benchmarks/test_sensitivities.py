"""benchmarks/sensitivities.py: a sensitivity that sees rounding chooses a better network than one that does not."""

from __future__ import annotations

from benchmarks.sensitivities import RANKED, around_row, as_markdown, row_of, subject_of, uniform_row
from subbyte.compiler.sensitivity import SENSITIVITIES


def _loss(text: str) -> float:
    return float(text.partition(" ")[0])


def test_pairs_choose_a_better_network_than_uniform_bits_and_than_orthogonality() -> None:
    subject = subject_of("digits_resnet")
    measured = SENSITIVITIES["kl"](subject.network(slice(32, None), RANKED))
    uniform = uniform_row(subject, 32)
    pairs, ompq = (row_of(kind, subject, 32, measured) for kind in ("pairs", "ompq"))
    for column in ("mean 3", "mean 4"):
        assert _loss(pairs[column]) < _loss(uniform[column]) < _loss(ompq[column])
        assert _loss(around_row("pairs", subject, 32)[column]) < _loss(uniform[column])
    assert float(pairs["rho W4"]) > 0.8
    assert as_markdown([uniform, pairs]).count("\n") == 3
