"""amm-newton-solver and amm-simpson-integration: what the market makers compute, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind import amm
from tradewind.amm.statistics import HIGHEST_SCORE, Solver, reference_cases
from tradewind.core import native
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue

CASES: Final = 5_000
SEED: Final = 20_251
MOST_STEPS: Final = 64
TOLERANCE: Final = 1e-10
# A residual that no float shows, of a solver that ran away.
LOST: Final = 1.0
# (w, lowest score) without a solution, or without a number.
UNSOLVABLE: Final = ((0.0, -8.0), (-0.1, -8.0), (8.5, 0.0), (20.0, -3.0))


def _normal(score: float) -> float:
    return 0.5 * math.erfc(-score / math.sqrt(2.0))


def _psi(score: float) -> float:
    """φ(u) + u·Φ(u), written anew."""
    return math.exp(-0.5 * score * score) / math.sqrt(2.0 * math.pi) + score * _normal(score)


def _observe_solver(context: ProbeContext, solver: Solver = native.amm_solve_score) -> Facts:
    rows = []
    for wanted, start in reference_cases(CASES, SEED):
        if wanted > HIGHEST_SCORE:
            continue
        found = solver(wanted, start)
        rows.append([wanted, *((None, None, None) if found is None else found[:3])])
    return {"rows": rows, "refused": [solver(wanted, lower) is None for wanted, lower in UNSOLVABLE]}


def _without_bracket(wanted: float, lower: float) -> tuple[float, int, int, float] | None:
    """Newton's steps as they come, from the middle."""
    score = 0.0
    for step in range(1, MOST_STEPS + 1):
        slope = _normal(score)
        if slope < 1e-300 or not math.isfinite(score):
            return score if math.isfinite(score) else 0.0, MOST_STEPS, 0, LOST
        change = (_psi(score) - wanted) / slope
        score -= change
        if abs(change) <= TOLERANCE:
            return score, step, 0, abs(_psi(score) - wanted)
    return score if math.isfinite(score) else 0.0, MOST_STEPS, 0, LOST


def _summarise_solver(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    solved = [row for row in rows if row[1] is not None]
    # A case without an answer, and a trade beyond the domain that got one, count as the worst there is.
    clean = len(solved) == len(rows) and all(facts["refused"])
    steps = [row[2] + row[3] for row in solved] + [MOST_STEPS] * (not clean)
    residual = max([abs(_psi(row[1]) - row[0]) for row in solved] + [LOST] * (not clean))
    return {
        "mean_iterations": MeasuredValue(sum(steps) / len(steps), "count", len(rows)),
        "max_iterations": MeasuredValue(max(steps), "count", len(rows)),
        "residual": MeasuredValue(residual, "ratio", len(rows)),
    }


newton = drill(
    "amm-newton-solver",
    observe=_observe_solver,
    broken=lambda context: _observe_solver(context, _without_bracket),
    summarise=_summarise_solver,
)

Integrate = Callable[..., float]
SIGMAS: Final = (1e-3, 0.4, 1.0, 25.0, 1e4)
REACH: Final = 8.0
NORM: Final = 100.0
BAD_SEGMENTS: Final = (-2, 0, 1, 3, 99, 101)
BAD_BOUNDS: Final = ((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf))


def _by_engine(function: Callable[[float], float], lower: float, upper: float, *segments: int) -> float:
    return amm.simpson(function, lower, upper, *segments).value


def _with_99_segments(
    function: Callable[[float], float], lower: float, upper: float, segments: int = 99
) -> float:
    """The rule without its check of evenness."""
    width = (upper - lower) / segments if segments else 0.0
    inner = (function(lower + place * width) * (4.0 if place % 2 else 2.0) for place in range(1, segments))
    return width / 3.0 * (function(lower) + function(upper) + sum(inner))


def _integral(integrate: Integrate, function: Callable[[float], float], reach: float) -> tuple[float, int]:
    """The value over ±reach, and in how many segments the integrand was looked at."""
    places = []

    def watched(place: float) -> float:
        places.append(place)
        return function(place)

    return integrate(watched, -reach, reach), len(places) - 1


def _claims(integrate: Integrate) -> list[dict[str, Any]]:
    """Mass and squared norm of a normal claim against λ and k²."""
    rows = []
    for sigma in SIGMAS:
        peak = amm.distribution_peak(NORM, sigma)

        def claim(place: float, peak: float = peak, sigma: float = sigma) -> float:
            return peak * math.exp(-0.5 * (place / sigma) ** 2)

        mass, segments = _integral(integrate, claim, REACH * sigma)
        rows.append({"exact": amm.distribution_lambda(NORM, sigma), "seen": mass, "segments": segments})

        def squared(place: float, claim: Callable[[float], float] = claim) -> float:
            return claim(place) ** 2

        square, segments = _integral(integrate, squared, REACH * sigma)
        rows.append({"exact": NORM * NORM, "seen": square, "segments": segments})
    return rows


def _refused(integrate: Integrate, *arguments: Any) -> bool:
    try:
        integrate(math.cos, *arguments)
    except ValueError:
        return True
    return False


def _observe_simpson(context: ProbeContext, integrate: Integrate = _by_engine) -> Facts:
    bad = [_refused(integrate, 0.0, 1.0, segments) for segments in BAD_SEGMENTS]
    bad += [_refused(integrate, *bounds) for bounds in BAD_BOUNDS]
    return {"integrals": _claims(integrate), "refused": bad}


def _summarise_simpson(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["integrals"]
    segments = {row["segments"] for row in rows}
    errors = [abs(row["seen"] / row["exact"] - 1.0) for row in rows]
    return {
        "segments": MeasuredValue(min(segments) if len(segments) == 1 else 0, "count", len(rows)),
        "max_error": MeasuredValue(max(errors), "ratio", len(rows)),
        "bad_inputs_rejected": ratio(sum(facts["refused"]), len(facts["refused"])),
    }


simpson = drill(
    "amm-simpson-integration",
    observe=_observe_simpson,
    broken=lambda context: _observe_simpson(context, _with_99_segments),
    summarise=_summarise_simpson,
)
