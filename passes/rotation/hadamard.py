"""Hadamard matrices: entries -1 and +1, orthogonal rows.  Source: Sylvester 1867; Paley 1933."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError


def hadamard(order: int) -> NDArray[np.int64]:
    """A Hadamard matrix, H H^T = order * I: Sylvester's doubling of the smallest order that Paley's primes give.

    Orders: 2^k, 2^k (q + 1) for primes q = 3 mod 4, and 2^k * 2 (q + 1) for primes q = 1 mod 4: among others 2^k times
    1, 12, 20, 28, 36, 44, 60, 68.
    Raises NumericsError: the order is no such number.
    """
    core, doublings = order, 0
    while core > 0:
        found = _base(core)
        if found is not None:
            for _ in range(doublings):
                found = np.block([[found, found], [found, -found]])
            return found
        if core % 2:
            break
        core, doublings = core // 2, doublings + 1
    raise NumericsError(
        f"there is no construction for a Hadamard matrix of order {order}; orders are 2^k times 1, q + 1 for a prime "
        "q = 3 mod 4, or 2 (q + 1) for a prime q = 1 mod 4"
    )


def has_hadamard(order: int) -> bool:
    """Whether `hadamard` knows a matrix of this order; it need not be built."""
    while order > 0:
        if order in (1, 2) or _paley(order) is not None:
            return True
        if order % 2:
            return False
        order //= 2
    return False


def randomized_hadamard(order: int, seed: int | Sequence[int]) -> NDArray[np.float64]:
    """An orthogonal matrix: the Hadamard matrix of the order, rows with random signs, over sqrt(order).

    Source: Ashkboos et al. 2024, QuaRot, section 3.
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], order)
    return np.asarray(signs[:, np.newaxis] * hadamard(order) / np.sqrt(order))


def _base(order: int) -> NDArray[np.int64] | None:
    if order in (1, 2):
        return np.array([[1, 1], [1, -1]])[:order, :order]
    found = _paley(order)
    return None if found is None else _paley_matrix(*found)


def _paley(order: int) -> tuple[int, bool] | None:
    """(q, whether it is Paley's second construction) of a base order."""
    if order % 4:
        return None
    if _is_prime(order - 1):  # order - 1 = 3 mod 4
        return order - 1, False
    q = order // 2 - 1
    return (q, True) if q % 4 == 1 and _is_prime(q) else None


def _paley_matrix(q: int, second: bool) -> NDArray[np.int64]:
    """I + S, S = [[0, 1], [-1, Q]], for q = 3 mod 4; S x [[1, 1], [1, -1]] + I x [[1, -1], [-1, -1]] for q = 1 mod 4.

    Q_ij is the quadratic character of i - j; in the second, S = [[0, 1], [1, Q]].
    """
    character = np.full(q, -1)
    character[np.arange(1, q) ** 2 % q] = 1
    character[0] = 0
    conference = np.ones((q + 1, q + 1), np.int64)
    conference[0, 0] = 0
    conference[1:, 1:] = character[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    identity = np.eye(q + 1, dtype=np.int64)
    if not second:
        conference[1:, 0] = -1
        return identity + conference
    return np.kron(conference, [[1, 1], [1, -1]]) + np.kron(identity, [[1, -1], [-1, -1]])


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))
