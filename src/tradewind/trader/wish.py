"""Small parts of the trader: an intent on its way to risk, and an alarm."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .risk.check import Denied, Path
from .strategy import StrategyIntent


class Alarm(msgspec.Struct, frozen=True):
    """Something an operator should know."""

    at_ns: int
    text: str


class Wish(msgspec.Struct):
    """An intent on its way to risk, with who wants it and since when."""

    strategy: str
    path: Path
    intent: StrategyIntent
    decision_ns: int
    verdict: Callable[[list[Denied], str | None], None] | None = None
