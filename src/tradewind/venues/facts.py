"""Facts about a venue that nothing but its documentation tells, each with unit, source and date (T2.9)."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

WARN_AGE_DAYS = 90
LIVE_AGE_DAYS = 180


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published figure. `checked_on` is the day on which it was compared with its source."""

    name: str
    value: Any
    unit: str
    source_url: str
    checked_on: date

    def age_days(self, today: date) -> int:
        """Days since it was checked."""
        return (today - self.checked_on).days


@cache
def facts_of(package: str) -> dict[str, Fact]:
    """Facts of a venue's package, by name. Raises `msgspec.ValidationError`, `FileNotFoundError`."""
    text = (files(package) / "facts.toml").read_text(encoding="utf-8")
    return {row.name: row for row in (msgspec.convert(one, Fact) for one in tomllib.loads(text)["fact"])}


def older_than(package: str, days: int, today: date) -> list[str]:
    """Names of the facts that nobody has checked for more than `days` (live trading refuses those)."""
    return sorted(name for name, fact in facts_of(package).items() if fact.age_days(today) > days)
