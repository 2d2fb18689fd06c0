"""collateral-coverage-correlation, positions-leverage-tiers: golden points, every input, bounds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from math import isqrt
from typing import Any, Final

from tradewind.core import commands, native
from tradewind.core.correlation import Matrix, bucket_rho_ppm, eigen, pearson, repaired, shrunk
from tradewind.core.enums import Side
from tradewind.core.hashing import account_id
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, case, drill, held
from tradewind.readiness.probes.lending import Lending
from tradewind.readiness.probes.leveraged import DOLLAR, OPENING, Leveraged, image
from tradewind.readiness.record import MeasuredValue

SECOND_NS: Final = 1_000_000_000
LARGEST: Final = 4_000_000_000_000_000_000
SEED: Final = 94
MATRICES: Final = 40
THIN_VAULT: Final = 300 * DOLLAR
STAKE: Final = 150 * DOLLAR
LOTS: Final = 10_000
FALLEN: Final = OPENING * 91 // 100
COVERAGE_BREAKER: Final = 1

Repair = Callable[[Sequence[Sequence[float]]], Matrix]


def _golden() -> list[dict[str, Any]]:
    """Points of P9.2 to P9.6: aggregation, ratio, states with their hysteresis, shrinkage, shortfall."""
    worst = [3_000_000, 4_000_000]
    scenarios = [(100, 20_000_000), (50, 30_000_000)]
    at = [(0, 1_500_000), (1, 1_499_999), (2, 499_999), (10, 600_000), (309, 600_000), (310, 600_000)]
    # One byte for each state, as numbers.
    states = list(native.coverage_states([(seconds * SECOND_NS, ppm) for seconds, ppm in at]))
    return [
        case("S, no correlation", 5_000_000, native.coverage_at_risk(worst, 0)),
        case("S, half", 6_082_763, native.coverage_at_risk(worst, 500_000)),
        case("S, full", 7_000_000, native.coverage_at_risk(worst, 1_000_000)),
        case("coverage", 1_500_000, native.coverage_ppm(3, 2)),
        case("nothing at risk", None, native.coverage_ppm(0, 0)),
        case("nothing held", 0, native.coverage_ppm(0, 1)),
        case("states: warns below 1.5, halts below 0.5, back at 0.6 for 300 s", [0, 1, 3, 3, 3, 2], states),
        case("shrunk correlation", 0.3, round(shrunk(0.1, 30), 12)),
        case("one market alone", 1_000_000, bucket_rho_ppm([[1.0]], [5.0])),
        case("shortfall of 95 %", 70, native.expected_shortfall(scenarios, 950_000_000)[1]),
        case("shortfall of 97.5 %", 90, native.expected_shortfall(scenarios, 975_000_000)[1]),
    ]


def _platform() -> list[dict[str, Any]]:
    """The same on an engine with real positions: a worst case, B1's trip, what it stops, and its end.

    The vault holds $300. Each pair of traders is $1,000 long and short with $150 each behind it: at a move of
    30 % one side is short of $150 (P9.1).
    """
    world = Leveraged(image=image(THIN_VAULT))

    def pair(number: int) -> None:
        # What each side pays for its fill comes on top.
        long, short = (
            world.trader(f"long {number}", STAKE + 500_000),
            world.trader(f"short {number}", STAKE + 100_000),
        )
        world.trade(long, short, OPENING, LOTS)
        world.wait(1, OPENING)

    def at_risk() -> int:
        return int(world.happened("WorstCaseChanged")[-1].at_risk)

    def leveraged(name: str) -> str:
        owner = world.trader(name, 10 * STAKE)
        code = world.ask(world.order(owner, Side.BUY, OPENING * 9 // 10, LOTS)).code
        world.must(commands.cancel_all(principal=owner, account=account_id(owner)))
        return code

    def changed(name: str) -> int:
        return sum(event.breaker == COVERAGE_BREAKER for event in world.happened(name))

    pair(0)
    pair(1)
    cases = [case("two pairs at risk", 2 * STAKE, at_risk()), case("at 1.0", "", leveraged("one"))]
    pair(2)
    cases.append(case("below 1.0: no new leveraged risk", "COVERAGE_TOO_LOW", leveraged("two")))
    # A fall of 9 % takes $90 of the $150 of each long side: $213 each are at risk.
    for ticks in range(OPENING, FALLEN, -20):
        world.wait(1, ticks)
    world.wait(5, FALLEN)
    cases.append(case("B1 trips once below 0.5", 1, changed("BreakerTripped")))
    cases.append(case("tripped: no new risk", "BREAKER_ACTIVE", leveraged("three")))
    owner = world.trader("provider", 10_000 * DOLLAR)
    world.must(commands.build("DepositVault", **world.of(owner), amount=10_000 * DOLLAR))
    world.wait(870, FALLEN)
    cases.append(case("covered again, within the halt", 0, changed("BreakerClosed")))
    cases.append(case("covered again: refused", "BREAKER_ACTIVE", leveraged("four")))
    world.wait(400, FALLEN)
    cases.append(case("closed behind the halt", 1, changed("BreakerClosed")))
    cases.append(case("closed: new risk", "", leveraged("five")))
    return cases


def _undefined() -> tuple[int, int]:
    """Inputs without a coverage, among the edges of every argument; and how many were tried."""
    edges = (-LARGEST, -1, 0, 1, 10**6, LARGEST)
    wrong = tried = 0
    for nav in edges:
        for at_risk in (*edges, LARGEST * 65_536):
            tried += 1
            ppm = native.coverage_ppm(nav, at_risk)
            wrong += (ppm is None) != (at_risk <= 0) or (ppm is not None and not 0 <= ppm <= 10**12)
    for worst in ([], [0], [LARGEST], [LARGEST] * 1_000, [0, LARGEST, 1]):
        for rho in (0, 1, 500_000, 1_000_000):
            tried += 1
            total = native.coverage_at_risk(worst, rho)
            wrong += not max([0, *worst]) <= total <= sum(worst) + (1 << 33)
    return wrong, tried


def _matrices() -> list[Matrix]:
    """Correlation matrices as they are measured, and such that no returns could have."""
    rng = random.Random(SEED)  # noqa: S311 the same matrices in every run
    found: list[Matrix] = [[[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]]
    for number in range(MATRICES):
        size = rng.randint(2, 12)
        series = [[rng.gauss(0, 1) for _ in range(rng.choice((5, 168)))] for _ in range(size)]
        length = min(map(len, series))
        matrix = [[1.0] * size for _ in range(size)]
        for i in range(size):
            for j in range(i):
                value = pearson(series[i][:length], series[j][:length]).value
                matrix[i][j] = matrix[j][i] = value if number % 2 else rng.uniform(-1, 1)
        found.append(matrix)
    return found


def _observe(context: ProbeContext, repair: Repair = repaired) -> Facts:
    wrong, tried = _undefined()
    least = [min(eigen(repair(matrix))[0]) for matrix in _matrices()]
    golden = [*_golden(), *_platform()]
    return {"golden": golden, "undefined": wrong, "tried": tried, "least_eigenvalues": least}


def _unrepaired(context: ProbeContext) -> Facts:
    """A matrix with a negative eigenvalue goes through as it is."""
    return _observe(context, lambda matrix: [list(row) for row in matrix])


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    golden = facts["golden"]
    least = facts["least_eigenvalues"]
    return {
        "golden_points_mismatched": count(len(golden) - held(golden), len(golden)),
        "undefined_inputs": count(facts["undefined"], facts["tried"]),
        "min_eigenvalue": MeasuredValue(min(least), "ratio", len(least)),
    }


correlation = drill(
    "collateral-coverage-correlation",
    observe=_observe,
    broken=_unrepaired,
    summarise=_summarise,
)

# ---- leverage ------------------------------------------------------------------------------------------

COVERAGES_PPM: Final = (
    0, 1, 499_999, 500_000, 700_000, 999_999, 1_000_000, 1_199_999, 1_200_000, 1_333_333, 1_500_000,
    1_999_999, 2_000_000, 5_000_000, 10**12, None,
)  # fmt: skip
TIERS: Final = ((1, 100), (2, 70), (4, 25), (8, 15), (16, 12), (64, 10))
CONTINUUM: Final = 65
LADDER: Final = ((2_000_000, 100), (1_500_000, 50), (1_200_000, 20), (1_000_000, 10), (500_000, 1), (0, 0))

Cap = Callable[[int, int | None], int]


def _native_cap(outcomes: int, ppm: int | None) -> int:
    return native.leverage_cap(outcomes, ppm)[0]


def _tier(outcomes: int) -> int:
    return next((tier for most, tier in TIERS if outcomes <= most), 5)


def _terms(outcomes: int, ppm: int | None) -> list[Decimal]:
    """Tier and `100·c/√N` with a real root; depth only raises the first term, which is 100 or more."""
    terms = [Decimal(100), Decimal(_tier(outcomes))]
    if ppm is not None:
        with localcontext() as digits:
            digits.prec = 40
            terms.append(Decimal(100) * ppm / 1_000_000 / Decimal(outcomes).sqrt())
    return terms


def _expected_e2(outcomes: int, ppm: int | None) -> int:
    ladder = [] if ppm is None else [next(Decimal(cap) for least, cap in LADDER if ppm >= least)]
    return int(min([*_terms(outcomes, ppm), *ladder]) * 100)


def _with_integer_root(outcomes: int, ppm: int | None) -> int:
    """The cap with an integer square root, without the ladder that would hide it."""
    terms = [10_000, _tier(outcomes) * 100]
    return min(terms if ppm is None else [*terms, ppm // 100 // isqrt(outcomes)])


ON_ENGINE: Final = (2, 3, 4, 5, 8, 9, 16, 17, 64)
BORROWERS: Final = (0, 8, 15)
"""Accounts that have borrowed: coverage is infinite, above 2.0, and between 1.2 and 1.5."""


def _on_engine(cap: Cap) -> tuple[list[list[Any]], list[list[Any]], int]:
    """Orders of every tier at the cap and one hundredth above it, at three coverages of a vault that lends.

    What was answered otherwise than the cap says, what was not refused above it, and how many were sent.
    """
    mismatched: list[list[Any]] = []
    above: list[list[Any]] = []
    sent = 0
    for borrowers in BORROWERS:
        world = Lending()
        markets = {outcomes: world.outcome_market(outcomes) for outcomes in ON_ENGINE}
        if borrowers:
            world.lend(markets[2], borrowers)
        asker, ppm = world.borrower("asker"), world.coverage_ppm()
        for outcomes, market in markets.items():
            allowed = cap(outcomes, ppm)
            for leverage_e2, refused in ((allowed, False), (allowed + 1, True)):
                answer = world.ask(world.opening(asker, market, leverage_e2))
                sent += 1
                said = answer.code == "LEVERAGE_TOO_HIGH"
                row = [outcomes, ppm, leverage_e2, answer.code, answer.bound & 0xFFFF_FFFF]
                if said != refused or (said and row[-1] != allowed):
                    mismatched.append(row)
                if not said and leverage_e2 > int(min(_terms(outcomes, ppm)) * 100):
                    above.append(row)
    return mismatched, above, sent


def _observe_leverage(context: ProbeContext, cap: Cap = _native_cap) -> Facts:
    pairs = [(outcomes, ppm) for outcomes in range(1, CONTINUUM + 1) for ppm in COVERAGES_PPM]
    mismatched = [
        [outcomes, ppm, cap(outcomes, ppm), _expected_e2(outcomes, ppm)]
        for outcomes, ppm in pairs
        if cap(outcomes, ppm) != _expected_e2(outcomes, ppm)
    ]
    above = sum(cap(outcomes, ppm) > int(min(_terms(outcomes, ppm)) * 100) for outcomes, ppm in pairs)
    answered, allowed, sent = _on_engine(cap)
    return {
        "points": len(pairs) + sent,
        "mismatched": mismatched + answered,
        "above": above + len(allowed),
    }


def _leverage_broken(context: ProbeContext) -> Facts:
    return _observe_leverage(context, _with_integer_root)


def _summarise_leverage(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {
        "golden_points_mismatched": count(len(facts["mismatched"]), facts["points"]),
        "leverage_above_margin_engine_cap": count(facts["above"], facts["points"]),
    }


tiers = drill(
    "positions-leverage-tiers",
    observe=_observe_leverage,
    broken=_leverage_broken,
    summarise=_summarise_leverage,
)
