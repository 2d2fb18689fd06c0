"""Correlation of hourly returns, shrunk, checked, and made into clusters and betas (T11.7). Pure.

Ledoit and Wolf, "Honey, I Shrunk the Sample Covariance Matrix" (2004): shrinkage towards constant
correlation. Plain Python: at most `MAX_SYMBOLS` symbols and 720 samples, once an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from math import isfinite, log, sqrt

import msgspec

from .groups import (
    CLOSED_AVERAGE,
    CLUSTER_RHO,
    PRIOR_RHO,
    REDUCED_AVERAGE,
    STRESS_RHO,
    WARN_AVERAGE,
    AverageStep,
    Groups,
)

MAX_SYMBOLS = 64
MIN_SAMPLES = 240
MAX_SAMPLES = 720
MIN_EIGENVALUE = 1e-8
MAX_CONDITION = 1e4
POWER_STEPS = 500
BETA_STEP = Decimal("0.0001")
Matrix = tuple[tuple[float, ...], ...]


class BadMatrix(ValueError):
    """A matrix that is no usable correlation matrix."""

    code = "BadMatrix"


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """A checked matrix in the order of `symbols`. `kind` is measured, prior or stressed."""

    symbols: tuple[str, ...]
    rho: Matrix
    betas: dict[str, Decimal]
    samples: int
    shrinkage: float
    kind: str
    created_ns: int
    version: int = 0

    @property
    def average(self) -> float | None:
        """Average of all pairs; None with fewer than two symbols."""
        pairs = [
            self.rho[row][column]
            for row in range(len(self.symbols))
            for column in range(row)
        ]  # fmt: skip
        return sum(pairs) / len(pairs) if pairs else None

    def groups(self) -> Groups:
        """Clusters, betas and step of the average."""
        return Groups(
            clusters=clusters(self.symbols, self.rho),
            betas=self.betas,
            step=average_step(self.average),
            source=f"{self.kind}, {self.samples} samples",
            version=self.version,
        )


def hourly_returns(prices: Mapping[str, Mapping[int, float]]) -> tuple[tuple[str, ...], list[list[float]]]:
    """Symbols and their log returns over the hours in which every one of them has both prices. `prices` are
    by symbol and hour number; symbols with fewer than `MIN_SAMPLES` returns of their own are left out.
    """
    own = {symbol: {hour for hour in by_hour if hour - 1 in by_hour} for symbol, by_hour in prices.items()}
    symbols = tuple(sorted(symbol for symbol, hours in own.items() if len(hours) >= MIN_SAMPLES))
    symbols = symbols[:MAX_SYMBOLS]
    if not symbols:
        return (), []
    hours = sorted(set.intersection(*(own[symbol] for symbol in symbols)))[-MAX_SAMPLES:]
    rows = [[log(prices[symbol][hour] / prices[symbol][hour - 1]) for hour in hours] for symbol in symbols]
    return symbols, rows


def measure(
    symbols: Sequence[str], returns: Sequence[Sequence[float]], *, factor: str, now_ns: int
) -> Correlation:
    """The shrunk matrix of these returns (one row a symbol) and betas to `factor`. Raises `BadMatrix`."""
    samples = min((len(row) for row in returns), default=0)
    if samples < MIN_SAMPLES:
        return constant(symbols, PRIOR_RHO, "prior", now_ns, samples=samples)
    if len(symbols) > MAX_SYMBOLS or len(symbols) != len(returns):
        raise BadMatrix(f"{len(returns)} rows for {len(symbols)} symbols, at most {MAX_SYMBOLS}")
    covariance, shrinkage = shrink([row[-samples:] for row in returns])
    deviations = [sqrt(covariance[place][place]) for place in range(len(symbols))]
    rho = tuple(
        tuple(
            1.0 if row == column else covariance[row][column] / (deviations[row] * deviations[column])
            for column in range(len(symbols))
        )
        for row in range(len(symbols))
    )
    check(rho)
    betas = _betas(symbols, rho, deviations, factor)
    return Correlation(
        symbols=tuple(symbols), rho=rho, betas=betas, samples=samples, shrinkage=shrinkage, kind="measured",
        created_ns=now_ns,
    )  # fmt: skip


def constant(symbols: Sequence[str], rho: float, kind: str, now_ns: int, *, samples: int = 0) -> Correlation:
    """Every pair the same: the prior (0.5), and the stress (0.9). Betas are one."""
    size = len(symbols)
    matrix = tuple(tuple(1.0 if row == column else rho for column in range(size)) for row in range(size))
    return Correlation(
        symbols=tuple(symbols), rho=matrix, betas={}, samples=samples, shrinkage=1.0, kind=kind,
        created_ns=now_ns,
    )  # fmt: skip


def stressed(symbols: Sequence[str], now_ns: int) -> Correlation:
    """All pairs at 0.9."""
    return constant(symbols, STRESS_RHO, "stressed", now_ns)


def shrink(returns: Sequence[Sequence[float]]) -> tuple[list[list[float]], float]:
    """Covariance shrunk towards constant correlation, and how far (0 to 1). Raises `BadMatrix` for values
    that are not finite and for a row that never moves.
    """
    rows = [_centred(row) for row in returns]
    size, samples = len(rows), len(rows[0])
    variances = [sum(one * one for one in row) / samples for row in rows]
    if not all(isfinite(value) and value > 0 for value in variances):
        raise BadMatrix("a symbol whose price never moved, or is no number, has no correlation")
    deviations = [sqrt(value) for value in variances]
    squares = [[one * one - variances[place] for one in row] for place, row in enumerate(rows)]
    # Sums of the paper's appendix B; what belongs to a pair counts for both of its halves.
    pi = rho = sum(sum(one * one for one in row) for row in squares) / samples
    pull = 0.0
    sample: dict[tuple[int, int], float] = {}
    for i in range(size):
        for j in range(i):
            products = [a * b for a, b in zip(rows[i], rows[j], strict=True)]
            mean = sample[i, j] = sum(products) / samples
            gaps = [one - mean for one in products]
            pi += 2 * sum(one * one for one in gaps) / samples
            for one, other in ((i, j), (j, i)):
                theta = sum(a * b for a, b in zip(squares[one], gaps, strict=True)) / samples
                pull += deviations[other] / deviations[one] * theta
    average = sum(value / (deviations[i] * deviations[j]) for (i, j), value in sample.items())
    average /= len(sample) or 1
    target = {(i, j): average * deviations[i] * deviations[j] for i, j in sample}
    gamma = 2 * sum((target[pair] - value) ** 2 for pair, value in sample.items())
    rho += average * pull
    amount = max(0.0, min(1.0, (pi - rho) / gamma / samples)) if gamma > 0 else 1.0
    matrix = [[0.0] * size for _ in range(size)]
    for place, value in enumerate(variances):
        matrix[place][place] = value
    for (i, j), value in sample.items():
        matrix[i][j] = matrix[j][i] = amount * target[i, j] + (1 - amount) * value
    return matrix, amount


def _centred(row: Sequence[float]) -> list[float]:
    mean = sum(row) / len(row)
    return [value - mean for value in row]


def check(rho: Sequence[Sequence[float]]) -> None:
    """Finite, symmetric, unit diagonal, eigenvalues of at least 1e-8, condition number of at most 1e4.

    A smaller eigenvalue is not clipped: with a largest one of at least 1 the clipped matrix would have a
    condition number of 1e8 and be refused all the same. Raises `BadMatrix`.
    """
    size = len(rho)
    for row in range(size):
        if abs(rho[row][row] - 1) > 1e-12:
            raise BadMatrix(f"the diagonal has {rho[row][row]} in place of 1")
        for column in range(row):
            value = rho[row][column]
            if not isfinite(value) or not -1 <= value <= 1:
                raise BadMatrix(f"{value} is no correlation")
            if abs(value - rho[column][row]) > 1e-12:
                raise BadMatrix("not symmetric")
    if not size:
        return
    largest = _largest_eigenvalue(rho)
    if not _above(rho, max(MIN_EIGENVALUE, largest / MAX_CONDITION)):
        raise BadMatrix(f"the condition number is above {MAX_CONDITION:.0f}")


def _above(rho: Sequence[Sequence[float]], bound: float) -> bool:
    """Whether every eigenvalue is above the bound: the shifted matrix then has a Cholesky factor."""
    size = len(rho)
    factor = [[0.0] * size for _ in range(size)]
    for row in range(size):
        for column in range(row + 1):
            rest = sum(a * b for a, b in zip(factor[row][:column], factor[column][:column], strict=True))
            if row == column:
                square = rho[row][row] - bound - rest
                if square <= 0:
                    return False
                factor[row][row] = sqrt(square)
            else:
                factor[row][column] = (rho[row][column] - rest) / factor[column][column]
    return True


def _largest_eigenvalue(rho: Sequence[Sequence[float]]) -> float:
    """By power iteration; at least the largest row mean, which is enough for the bound."""
    vector = [1.0 + place / (7.0 * len(rho)) for place in range(len(rho))]
    value = 0.0
    for _ in range(POWER_STEPS):
        moved = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in rho]
        length = sqrt(sum(one * one for one in moved))
        if length == 0:
            return 0.0
        vector = [one / length for one in moved]
        if abs(length - value) <= 1e-12 * length:
            return length
        value = length
    return value


def clusters(symbols: Sequence[str], rho: Sequence[Sequence[float]]) -> dict[str, str]:
    """Single linkage at 0.7: each symbol with the name of its cluster, the first of its members."""
    place_of = list(range(len(symbols)))

    def root(place: int) -> int:
        while place_of[place] != place:
            place = place_of[place]
        return place

    for row in range(len(symbols)):
        for column in range(row):
            if rho[row][column] >= CLUSTER_RHO:
                low, high = sorted((root(row), root(column)))
                place_of[high] = low
    return {symbol: symbols[root(place)] for place, symbol in enumerate(symbols)}


def average_step(average: float | None) -> AverageStep:
    """0.70 warns, 0.80 reduces sizes, 0.90 lets only orders pass that reduce."""
    if average is None:
        return AverageStep.NONE
    bounds = (WARN_AVERAGE, REDUCED_AVERAGE, CLOSED_AVERAGE)
    # A mean of equal numbers may be off by its last digit.
    return AverageStep(sum(average >= bound - 1e-12 for bound in bounds))


def _betas(
    symbols: Sequence[str], rho: Matrix, deviations: Sequence[float], factor: str
) -> dict[str, Decimal]:
    """Betas to the factor, rounded away from zero; none when the factor is not among the symbols."""
    if factor not in symbols:
        return {}
    of = symbols.index(factor)
    result = {}
    for place, symbol in enumerate(symbols):
        beta = rho[place][of] * deviations[place] / deviations[of]
        size = Decimal(repr(abs(beta))).quantize(BETA_STEP, rounding=ROUND_CEILING)
        result[symbol] = size if beta >= 0 else -size
    result[factor] = Decimal(1)
    return result
