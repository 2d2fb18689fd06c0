"""Out of sample: purged, embargoed folds and walk-forward (T14.7), by time, on the trades of whole runs.

A candidate is one parameter set with all its trades. For every test segment the best candidate is chosen by
its mean net return on the trades outside of it, and only what that choice earned inside counts as out of
sample. With one candidate nothing is chosen, and the segments show how steady it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from .statistics import Interval, block_length, bootstrap_mean

FOLDS: Final = 6
FEWEST_TO_CHOOSE: Final = 5
"""Training trades below which a candidate is not chosen."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """A trade as the selection sees it: when it began and ended, and its net return as a fraction."""

    entry_ns: int
    exit_ns: int
    net_return: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One test segment: what was chosen without it, and how that did inside and outside."""

    number: int
    from_ns: int
    to_ns: int
    chosen: str | None
    train_trades: int
    train_mean_bps: float | None
    test_trades: int
    test_mean_bps: float | None


class OutOfSample(msgspec.Struct, frozen=True, kw_only=True):
    """All test segments together."""

    method: str
    embargo_ns: int
    segments: list[Segment]
    trades: int
    mean_bps: Interval
    returns: list[float]


def cuts(start_ns: int, end_ns: int, parts: int) -> list[tuple[int, int]]:
    """Equal spans of time; the last one includes the end."""
    edges = [start_ns + (end_ns - start_ns) * part // parts for part in range(parts)] + [end_ns + 1]
    return list(pairwise(edges))


def training(outcomes: Sequence[Outcome], span: tuple[int, int], embargo_ns: int) -> list[Outcome]:
    """Trades that know nothing of the span: none that touches it (purged), none that begins within the
    embargo behind it.
    """
    begin_ns, end_ns = span
    return [one for one in outcomes if one.exit_ns < begin_ns or one.entry_ns >= end_ns + embargo_ns]


def purged_folds(
    candidates: Mapping[str, Sequence[Outcome]], start_ns: int, end_ns: int, *, embargo_ns: int, seed: int,
    folds: int = FOLDS,
) -> OutOfSample:  # fmt: skip
    """Every fold once as the test, all others (purged and embargoed) as the training."""
    spans = cuts(start_ns, end_ns, folds)
    trained = [
        {name: training(outcomes, span, embargo_ns) for name, outcomes in candidates.items()}
        for span in spans
    ]
    return _tested("purged k-fold", candidates, spans, trained, embargo_ns=embargo_ns, seed=seed)


def walk_forward(
    candidates: Mapping[str, Sequence[Outcome]], start_ns: int, end_ns: int, *, embargo_ns: int, seed: int,
    folds: int = FOLDS,
) -> OutOfSample:  # fmt: skip
    """Every segment but the first as the test; what ended an embargo before it is the training."""
    spans = cuts(start_ns, end_ns, folds)[1:]
    trained = [
        {
            name: [one for one in outcomes if one.exit_ns < begin_ns - embargo_ns]
            for name, outcomes in candidates.items()
        }
        for begin_ns, _ in spans
    ]
    return _tested("walk-forward", candidates, spans, trained, embargo_ns=embargo_ns, seed=seed)


def _tested(
    method: str,
    candidates: Mapping[str, Sequence[Outcome]],
    spans: Sequence[tuple[int, int]],
    trained: Sequence[Mapping[str, Sequence[Outcome]]],
    *,
    embargo_ns: int,
    seed: int,
) -> OutOfSample:
    segments, kept = [], []
    for number, (span, training_sets) in enumerate(zip(spans, trained, strict=True), 1):
        chosen = choose(training_sets)
        inside = [] if chosen is None else _inside(candidates[chosen], span)
        kept += inside
        segments.append(
            Segment(
                number=number, from_ns=span[0], to_ns=span[1], chosen=chosen,
                train_trades=0 if chosen is None else len(training_sets[chosen]),
                train_mean_bps=None if chosen is None else _mean_bps(training_sets[chosen]),
                test_trades=len(inside), test_mean_bps=_mean_bps(inside),
            )
        )  # fmt: skip
    returns = [one.net_return for one in kept]
    block = block_length([one.entry_ns for one in kept], [one.exit_ns - one.entry_ns for one in kept])
    return OutOfSample(
        method=method, embargo_ns=embargo_ns, segments=segments, trades=len(kept),
        mean_bps=bootstrap_mean([one * 10_000 for one in returns], block, seed), returns=returns,
    )  # fmt: skip


def choose(trained: Mapping[str, Sequence[Outcome]]) -> str | None:
    """The candidate with the best mean in training; ties go to the first name. A single one needs no choice.

    None when several compete and none has enough trades.
    """
    if len(trained) == 1:
        return next(iter(trained))
    fit = {name: outcomes for name, outcomes in trained.items() if len(outcomes) >= FEWEST_TO_CHOOSE}
    if not fit:
        return None
    return max(sorted(fit), key=lambda name: _mean_bps(fit[name]) or 0.0)


def _inside(outcomes: Sequence[Outcome], span: tuple[int, int]) -> list[Outcome]:
    return [one for one in outcomes if span[0] <= one.entry_ns < span[1]]


def _mean_bps(outcomes: Sequence[Outcome]) -> float | None:
    return sum(one.net_return for one in outcomes) * 10_000 / len(outcomes) if outcomes else None
