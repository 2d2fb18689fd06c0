"""Published limits with their dated source, from `facts.toml` (trading T2.9)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published figure or table. `checked_on` is the date on which it was compared with its source."""

    name: str
    value: Any
    unit: str
    source_url: str
    checked_on: str


@cache
def facts() -> dict[str, Fact]:
    """Every fact by name. Raises `msgspec.ValidationError` for a row that lacks its source or its date."""
    text = (files(__package__) / "facts.toml").read_text(encoding="utf-8")
    rows = [msgspec.convert(row, Fact) for row in tomllib.loads(text)["fact"]]
    return {row.name: row for row in rows}


def fact(name: str) -> Any:
    """The value of a fact. Raises `KeyError`."""
    return facts()[name].value
