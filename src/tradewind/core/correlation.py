"""Correlation of markets for coverage (P9.4): what RISK measures and publishes, and the engine takes.

Floats are allowed here: results are rounded to ppm before they leave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

PRIOR_SAMPLES: Final = 30
PRIOR: Final = 0.5
"""What a correlation is shrunk towards, and how many samples that is worth."""
SWEEPS: Final = 64
"""Sweeps of the Jacobi method; a symmetric matrix needs about ten."""
TOLERANCE: Final = 1e-13
MAX_MARKETS: Final = 512

Matrix = list[list[float]]


class Pair(msgspec.Struct, frozen=True):
    """A shrunk correlation; `flat` when a series did not move."""

    value: float
    samples: int
    flat: bool


def pearson(first: Sequence[float], second: Sequence[float]) -> Pair:
    """Pearson's correlation of returns that were joined by time, shrunk: `(n·r + 30·0.5)/(n + 30)`.

    Raises:
        ValueError: the series have different lengths, or a return is not finite.
    """
    if len(first) != len(second):
        raise ValueError(f"first has {len(first)} returns, second {len(second)}")
    if not all(map(math.isfinite, (*first, *second))):
        raise ValueError("returns must be finite numbers")
    n = len(first)
    raw, flat = 0.0, True
    if n >= 2:
        mean_a, mean_b = math.fsum(first) / n, math.fsum(second) / n
        a, b = [x - mean_a for x in first], [x - mean_b for x in second]
        spread = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
        flat = spread == 0.0
        if not flat:
            raw = max(-1.0, min(1.0, math.fsum(x * y for x, y in zip(a, b, strict=True)) / spread))
    return Pair(shrunk(raw, n), n, flat)


def shrunk(raw: float, samples: int) -> float:
    """The correlation of `samples` pairs, drawn towards one half as 30 more samples would."""
    return (samples * raw + PRIOR_SAMPLES * PRIOR) / (samples + PRIOR_SAMPLES)


def eigen(matrix: Sequence[Sequence[float]]) -> tuple[list[float], Matrix]:
    """Eigenvalues and eigenvectors (as columns) of a symmetric matrix, by Jacobi rotations.

    Raises:
        ValueError: the matrix is not square, symmetric and finite, or has more than 512 rows.
    """
    size = len(matrix)
    if size > MAX_MARKETS:
        raise ValueError(f"matrix has {size} rows, at most {MAX_MARKETS}")
    for i, row in enumerate(matrix):
        if len(row) != size or not all(map(math.isfinite, row)):
            raise ValueError("matrix must be square and finite")
        if any(abs(row[j] - matrix[j][i]) > 1e-12 for j in range(i)):
            raise ValueError("matrix must be symmetric")
    a = [list(row) for row in matrix]
    vectors = [[float(i == j) for j in range(size)] for i in range(size)]
    for _ in range(SWEEPS):
        if math.fsum(a[i][j] ** 2 for i in range(size) for j in range(i)) <= TOLERANCE**2:
            break
        for p in range(size):
            for q in range(p + 1, size):
                _rotate(a, vectors, p, q)
    return [a[i][i] for i in range(size)], vectors


def _rotate(a: Matrix, vectors: Matrix, p: int, q: int) -> None:
    """Makes `a[p][q]` zero."""
    if a[p][q] == 0.0:
        return
    theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q])
    t = math.copysign(1.0, theta) / (abs(theta) + math.hypot(theta, 1.0))
    c = 1.0 / math.hypot(t, 1.0)
    s = t * c
    for k in range(len(a)):
        a[k][p], a[k][q] = c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]
    for k in range(len(a)):
        a[p][k], a[q][k] = c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]
    for row in vectors:
        row[p], row[q] = c * row[p] - s * row[q], s * row[p] + c * row[q]


def repaired(matrix: Sequence[Sequence[float]]) -> Matrix:
    """The matrix made positive semidefinite: negative eigenvalues clipped, the diagonal scaled back to one.

    Raises as `eigen`; ValueError also for a row that vanishes with the clipped part.
    """
    values, vectors = eigen(matrix)
    size = len(values)
    kept = [max(0.0, value) for value in values]
    clipped = [
        [math.fsum(vectors[i][k] * kept[k] * vectors[j][k] for k in range(size)) for j in range(size)]
        for i in range(size)
    ]
    if any(clipped[i][i] <= 0.0 for i in range(size)):
        raise ValueError("a row of the matrix vanishes when negative eigenvalues are clipped")
    scale = [1.0 / math.sqrt(clipped[i][i]) for i in range(size)]
    result = [[clipped[i][j] * scale[i] * scale[j] for j in range(size)] for i in range(size)]
    for i in range(size):
        result[i][i] = 1.0
        for j in range(i):
            result[i][j] = result[j][i] = 0.5 * (result[i][j] + result[j][i])
    return result


def bucket_rho_ppm(matrix: Sequence[Sequence[float]], weights: Sequence[float]) -> int:
    """`Σ w_i w_j max(0, r_ij) / Σ w_i w_j` over pairs, within [0, 1], in ppm; 10^6 below two markets.

    Raises:
        ValueError: weights and matrix differ in size, or a weight is negative or not finite.
    """
    if len(matrix) != len(weights) or any(not math.isfinite(w) or w < 0 for w in weights):
        raise ValueError("weights must be finite, at least 0, and one for each market")
    pairs = [(i, j) for i in range(len(weights)) for j in range(i)]
    whole = math.fsum(weights[i] * weights[j] for i, j in pairs)
    if not pairs or whole == 0.0:
        return 1_000_000
    part = math.fsum(weights[i] * weights[j] * max(0.0, matrix[i][j]) for i, j in pairs)
    # Rounded up: correlation never makes risk look smaller than it was measured.
    return min(1_000_000, math.ceil(max(0.0, min(1.0, part / whole)) * 1_000_000 - 1e-6))


def measured_rho_ppm(returns: Sequence[Sequence[float]], weights: Sequence[float]) -> int:
    """Correlation of a bucket from hourly returns: shrunk, repaired, weighted. Raises as the parts."""
    size = len(returns)
    matrix = [[1.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            matrix[i][j] = matrix[j][i] = pearson(returns[i], returns[j]).value
    return bucket_rho_ppm(repaired(matrix), weights)
