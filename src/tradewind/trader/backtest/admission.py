"""Admission to paper (T14.8): every condition with what was found, and no admission while one is open."""

from __future__ import annotations

from typing import Final

import msgspec

from .folds import OutOfSample
from .lookahead import LookAhead
from .points import PointResult
from .run import Facts
from .trials import TrialCount

LEAST_DSR: Final = 0.95
LEAST_TRADES: Final = 200


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition. `passed` None: it was not checked, which admits nothing."""

    name: str
    passed: bool | None
    found: str
    wanted: str


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict with its conditions."""

    admitted: bool
    conditions: list[Condition]


def fees_are_low(facts: Facts, maker_bps: object, taker_bps: object) -> bool:
    """Whether the run paid less than the account's schedule would ask (T14.3)."""
    return bool(facts.fees.maker_bps < maker_bps or facts.fees.taker_bps < taker_bps)  # type: ignore[operator]


def admit(
    *,
    dsr: float | None,
    outside: OutOfSample | None,
    trials: TrialCount,
    look_ahead: LookAhead | None,
    mean_bps: float | None,
    perturbed: list[PointResult] | None,
    fees_low: bool,
    generated: bool,
    facts: Facts,
) -> Admission:
    """Judge one run. `outside` None: its parameters were chosen with a look at these data."""
    conditions = [
        Condition(
            name="recorded data", passed=not generated, wanted="a real market",
            found="generated" if generated else "recorded",
        ),
        Condition(
            name="fees", passed=not fees_low, wanted="at least the account's schedule",
            found=f"{facts.fees.name}: maker {facts.fees.maker_bps}, taker {facts.fees.taker_bps} bps",
        ),
        Condition(
            name="no fault", passed=facts.strategy_error is None, wanted="the strategy was never halted",
            found=facts.strategy_error or "none",
        ),
        Condition(
            name="deflated Sharpe ratio", passed=dsr is not None and dsr >= LEAST_DSR,
            wanted=f"at least {LEAST_DSR} over {trials.trials} trial(s)",
            found="insufficient" if dsr is None else f"{dsr:.4f}",
        ),
        _outside(outside, trials),
        _look_ahead(look_ahead),
        _perturbed(mean_bps, perturbed),
    ]  # fmt: skip
    return Admission(admitted=all(one.passed is True for one in conditions), conditions=conditions)


def _outside(outside: OutOfSample | None, trials: TrialCount) -> Condition:
    wanted = f"at least {LEAST_TRADES} trades out of sample"
    if outside is None:
        found = f"0: {trials.looked_before} other trial(s) saw these data first, so all of it is in-sample"
        return Condition(name="out of sample", passed=False, found=found, wanted=wanted)
    return Condition(
        name="out of sample",
        passed=outside.trades >= LEAST_TRADES,
        found=f"{outside.trades} by {outside.method}",
        wanted=wanted,
    )


def _look_ahead(found: LookAhead | None) -> Condition:
    wanted = "the same decisions whatever the future is"
    if found is None:
        return Condition(name="look-ahead", passed=None, found="not checked", wanted=wanted)
    if found.opened:
        text = f"the strategy opened {found.opened[0]}"
    elif not found.compared:
        text = "no decision to compare"
    else:
        failed = [one for one in found.cuts if not one.passed]
        text = (
            f"{len(failed)} of {len(found.cuts)} cuts differ: {failed[0].difference}"
            if failed
            else f"{found.compared} decisions at {len(found.cuts)} cuts are the same"
        )
    return Condition(name="look-ahead", passed=found.passed, found=text, wanted=wanted)


def _perturbed(mean_bps: float | None, perturbed: list[PointResult] | None) -> Condition:
    wanted = "every parameter moved by 20 % keeps the sign of the mean"
    if perturbed is None:
        return Condition(name="perturbed parameters", passed=None, found="not checked", wanted=wanted)
    if mean_bps is None or not perturbed:
        text = "no trades" if mean_bps is None else "no parameter can be moved"
        return Condition(name="perturbed parameters", passed=False, found=text, wanted=wanted)
    turned = [
        one for one in perturbed if one.error or one.mean_bps is None or (one.mean_bps > 0) != (mean_bps > 0)
    ]
    text = f"{len(turned)} of {len(perturbed)} change it"
    if turned:
        text += f": {turned[0].name}"
    return Condition(name="perturbed parameters", passed=not turned, found=text, wanted=wanted)
