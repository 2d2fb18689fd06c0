"""The stages as they are shipped, and what a list of stages has to be (T17.1)."""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec

SHIPPED: Final = Path(__file__).with_name("stages.toml")
MAX_BYTES: Final = 65_536
MAX_STAGES: Final = 32
ORDER: Final = ("sim", "paper", "testnet", "canary", "live")
REAL: Final = frozenset({"canary", "live"})
MAX_GROWTH: Final = 2
"""Size at most doubles in one step (T17.1)."""


class StageConfigError(ValueError):
    """The list of stages cannot be used; the text names stage and rule."""

    code = "StageConfigError"


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rung. `order_cap_quote`, `pairs`, `strategies`: None is without a bound of the ramp's own."""

    name: str
    environment: str
    profile: str
    order_cap_quote: Decimal | None
    pairs: int | None
    strategies: int | None
    hours_per_day: int
    size_multiplier: Decimal
    needs: tuple[str, ...]
    """Criteria that must be green to enter."""
    stay_days: int
    stay_round_trips: int
    """Least stay before the next stage."""
    approvals: int
    """Distinct people who have to approve the entry."""

    @property
    def real(self) -> bool:
        """Whether real funds are at risk."""
        return self.environment in REAL


class Stages(msgspec.Struct, frozen=True):
    """The whole ladder, and the hash of its text."""

    rungs: tuple[Stage, ...]
    hash: str

    def named(self, name: str) -> Stage:
        """Raises `StageConfigError` for a name that is not on the ladder."""
        for one in self.rungs:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.rungs)
        raise StageConfigError(f"no stage {name!r}; there are {known}")

    def after(self, stage: Stage) -> Stage | None:
        """The next rung; None at the top."""
        index = self.rungs.index(stage) + 1
        return self.rungs[index] if index < len(self.rungs) else None

    def below(self, stage: Stage, steps: int) -> Stage:
        """So many rungs down, never below paper: no funds are at risk there."""
        index = self.rungs.index(stage)
        floor = min(index, self.rungs.index(self.paper))
        return self.rungs[max(floor, index - steps)]

    @property
    def paper(self) -> Stage:
        """The first rung of environment paper."""
        return next(one for one in self.rungs if one.environment == "paper")

    def first_of(self, environment: str) -> Stage:
        """Where a trader without history begins. Real funds are never a beginning: those start at paper."""
        for one in self.rungs:
            if one.environment == environment and not one.real:
                return one
        return self.paper


def changed_dimensions(before: Stage, after: Stage) -> tuple[str, ...]:
    """Which of size, pairs, strategies and hours grow from one rung to the next; less is always allowed."""
    grown = []
    if _grows(before.order_cap_quote, after.order_cap_quote):
        grown.append("size")
    if _grows(before.pairs, after.pairs):
        grown.append("pairs")
    if _grows(before.strategies, after.strategies):
        grown.append("strategies")
    if after.hours_per_day > before.hours_per_day:
        grown.append("hours")
    return tuple(grown)


def _grows(before: Decimal | int | None, after: Decimal | int | None) -> bool:
    if before is None:
        return False
    return after is None or after > before


def load_stages(path: Path = SHIPPED) -> Stages:
    """The ladder of a file, checked.

    Raises:
        StageConfigError: unknown, missing or malformed keys, a step that changes two dimensions, more than
            doubles the size or adds more than one pair, a real stage without a cap or with fewer than two
            approvals.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise StageConfigError(f"{path.name}: larger than {MAX_BYTES} bytes")
        content = tomllib.loads(raw.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StageConfigError(f"{path.name}: {error}") from error
    rows = content.get("stage")
    if set(content) != {"stage"} or not isinstance(rows, list) or not 1 <= len(rows) <= MAX_STAGES:
        raise StageConfigError(f"{path.name}: 1 to {MAX_STAGES} tables [[stage]] and nothing else")
    stages = Stages(tuple(_stage(row) for row in rows), hashlib.blake2b(raw, digest_size=16).hexdigest())
    problem = next(_problems(stages), "")
    if problem:
        raise StageConfigError(problem)
    return stages


def _stage(row: dict[str, Any]) -> Stage:
    name = row.get("name", "?")
    for key in ("order_cap_quote", "size_multiplier"):
        if not isinstance(row.get(key), str):
            raise StageConfigError(f"{name}.{key}: a quoted decimal is needed, not {row.get(key)!r}")
    changed = {key: None if value == "none" else value for key, value in row.items()}
    changed["profile"] = row.get("profile")
    try:
        for key in ("order_cap_quote", "size_multiplier"):
            text = changed[key]
            if text is not None:
                changed[key] = Decimal(str(text))
        stage = msgspec.convert(changed, Stage)
    except (msgspec.ValidationError, InvalidOperation) as error:
        raise StageConfigError(f"{name}: {error}") from error
    return stage


def _problems(stages: Stages) -> Iterator[str]:
    names = [one.name for one in stages.rungs]
    if len(set(names)) != len(names):
        yield "a stage is stated twice"
    for one in stages.rungs:
        yield from _problems_of(one)
    if not any(one.environment == "paper" for one in stages.rungs):
        yield "there is no stage of environment paper to go back to"
    for before, after in itertools.pairwise(stages.rungs):
        step = f"{before.name} -> {after.name}"
        if ORDER.index(after.environment) < ORDER.index(before.environment):
            yield f"{step}: the environment goes back"
        grown = changed_dimensions(before, after)
        if len(grown) > 1:
            yield f"{step}: {' and '.join(grown)} grow together, one dimension a step is allowed"
        if "size" in grown and (after.order_cap_quote is None or _ratio(before, after) > MAX_GROWTH):
            yield f"{step}: the order cap more than doubles"
        if "pairs" in grown and (after.pairs is None or after.pairs - (before.pairs or 0) > 1):
            yield f"{step}: more than one pair is added"


def _ratio(before: Stage, after: Stage) -> Decimal:
    assert before.order_cap_quote is not None and after.order_cap_quote is not None
    return after.order_cap_quote / before.order_cap_quote


def _problems_of(one: Stage) -> Iterator[str]:
    if one.environment not in ORDER:
        yield f"{one.name}: no environment {one.environment!r}"
    cap = one.order_cap_quote
    if cap is not None and (not cap.is_finite() or cap <= 0):
        yield f"{one.name}: the order cap is {cap}"
    if not one.size_multiplier.is_finite() or not 0 < one.size_multiplier <= 1:
        yield f"{one.name}: the size multiplier is {one.size_multiplier}, above 0 and at most 1 is allowed"
    if one.stay_days < 0 or one.stay_round_trips < 0 or not 1 <= one.hours_per_day <= 24:
        yield f"{one.name}: a stay is not negative, and a day has 1 to 24 hours"
    if (one.pairs is not None and one.pairs < 1) or (one.strategies is not None and one.strategies < 1):
        yield f"{one.name}: at least one pair and one strategy"
    if one.real and (cap is None or one.pairs is None or one.strategies is None):
        yield f"{one.name}: with real funds cap, pairs and strategies have to be bounded"
    if one.approvals < (2 if one.real else 1):
        yield f"{one.name}: {one.approvals} approvals, real funds need two different people"
