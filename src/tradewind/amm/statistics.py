"""The pm-AMM's solver, measured: Newton steps and residuals over the reference distribution (P10.4.3)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tradewind.amm import pm_amm_reserves
from tradewind.core import native

Solver = Callable[[float, float], tuple[float, int, int, float] | None]
"""(w, lower bound of u) → (u, Newton steps, bisections, |ψ(u) − w|), None when it refuses."""
HIGHEST_SCORE = 8.0
SCORES = (-3.0, 3.0)
LOG10_AMOUNTS = (-6.0, 1.0)


class SolverFigures(NamedTuple):
    """Counts of one measurement; `beyond` cases lead out of the domain and are not solved.

    `mean_newton_steps`, `most_newton_steps` and `largest_residual` (in units of liquidity) are None when no
    case was solved: no data is not zero.
    """

    cases: int
    solved: int
    beyond: int
    failed: int
    fallbacks: int
    mean_newton_steps: float | None
    most_newton_steps: int | None
    largest_residual: float | None


def reference_cases(cases: int, seed: int) -> Iterator[tuple[float, float]]:
    """(w, u₀): u₀ uniform in ±3, c/L log-uniform in 1e-6 to 10, w = ψ(u₀) + c/L."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible sample, not a secret
    for _ in range(cases):
        start = draw.uniform(*SCORES)
        amount = 10.0 ** draw.uniform(*LOG10_AMOUNTS)
        _, reserve = pm_amm_reserves(1.0, 0.5 * math.erfc(-start / math.sqrt(2.0)))
        yield reserve + amount, start


def solver_figures(
    cases: int = 20_000, seed: int = 1, solver: Solver = native.amm_solve_score
) -> SolverFigures:
    """Solves the reference cases and counts what the solver itself reports.

    Raises:
        ValueError: `cases` is negative.
    """
    if cases < 0:
        raise ValueError(f"cases must be at least 0, got {cases}")
    steps: list[int] = []
    residuals: list[float] = []
    beyond = failed = fallbacks = 0
    for wanted, start in reference_cases(cases, seed):
        if wanted > HIGHEST_SCORE:  # ψ(8) is 8 but for 1e-17
            beyond += 1
            continue
        found = solver(wanted, start)
        if found is None:
            failed += 1
            continue
        _, newton_steps, bisections, residual = found
        steps.append(newton_steps)
        residuals.append(residual)
        fallbacks += bisections > 0
    return SolverFigures(
        cases,
        len(steps),
        beyond,
        failed,
        fallbacks,
        sum(steps) / len(steps) if steps else None,
        max(steps, default=None),
        max(residuals, default=None),
    )
