"""When a campaign drills itself: kill and resume daily, reconnects four times a day, checks of its parts."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from .state import DAY_S, Provenance

Drill = Literal["journal", "nonce", "rotation", "alerts", "kill", "resume", "reconnect"]
"""`resume` is never planned: it follows a kill drill after the cool-down."""
KILL_AT_S: Final = 2_700.0
"""Forty-five minutes into the day: there are orders, and an hour is left to see it trade again."""
SHORT_DAY_S: Final = 7_200.0
SHORT_KILL_AT: Final = 0.7
VIRTUAL_KILL_AT: Final = 0.985
"""The wait before a resume is real time, in which a compressed market goes on for hours: at the end of the
day."""
RECONNECTS_AT: Final = (0.2, 0.4, 0.6, 0.8)
CHECKS_AT_S: Final = 20.0
ALARM_RULES: Final = (
    "NODE_STOPPED", "DISK_RESERVED", "CLOCK", "CLOCK_BEHIND", "VIEW_DETACHED", "WORKER_FAILED",
    "WORKER_ENDED", "LEDGER_IMBALANCE", "FEED_SUSPECT", "FEED_STALE", "FEED_ENDED", "TRADING_ENDED",
    "TRADING_HALTED", "TRADING_REDUCE_ONLY", "STRATEGY_FAULT", "NOT_RECONCILED", "TRADER",
    "ORACLE_STALE", "ORACLE_LATE", "BREAKER_TRIPPED", "VAULT_SHORTFALL",
)  # fmt: skip
"""Every alarm that the platform's view can raise; a test compares this with the sources."""
MAX_DRILLS: Final = 10_000


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One drill of the plan, due at this campaign time in seconds."""

    id: str
    drill: Drill
    day: int
    due_s: float


def plan(hours: float, provenance: Provenance) -> list[Planned]:
    """All drills of a campaign, earliest first. A campaign shorter than a day is one short day."""
    total_s = hours * 3_600
    drills: list[Planned] = []
    day, begin_s = 1, 0.0
    while begin_s < total_s and len(drills) < MAX_DRILLS:
        length_s = min(DAY_S, total_s - begin_s)
        drills += _day(day, begin_s, length_s, provenance)
        day, begin_s = day + 1, begin_s + DAY_S
    return sorted(drills, key=lambda one: (one.due_s, one.id))


def _day(day: int, begin_s: float, length_s: float, provenance: Provenance) -> list[Planned]:
    if provenance == "virtual":
        kill_s = VIRTUAL_KILL_AT * length_s
    else:
        kill_s = KILL_AT_S if length_s >= SHORT_DAY_S else SHORT_KILL_AT * length_s
    early_s = min(CHECKS_AT_S, length_s / 10)
    due: list[tuple[Drill, str, float]] = [
        ("nonce", "nonce", early_s),
        ("rotation", "rotation", early_s),
        ("alerts", "alerts", early_s),
        ("journal", "journal", min(length_s * 0.5, length_s)),
        ("kill", "kill", kill_s),
    ]
    due += [
        ("reconnect", f"reconnect-{number}", share * length_s)
        for number, share in enumerate(RECONNECTS_AT, start=1)
    ]
    return [
        Planned(id=f"day{day}-{name}", drill=drill, day=day, due_s=begin_s + at_s)
        for drill, name, at_s in due
    ]


def due(planned: list[Planned], done: dict[str, float], campaign_s: float) -> Planned | None:
    """The earliest drill whose time has come and which did not run yet."""
    for one in planned:
        if one.due_s > campaign_s:
            return None
        if one.id not in done:
            return one
    return None
