"""What `/metrics` and the alarms say about feeds, breakers, open interest, insurance and keepers.

Read from the views, which are read from the log: a count here equals the events in the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tradewind.core.enums import NO_MARKET, Line
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.feeds import STATES as FEED_STATES
from tradewind.node.projections.feeds import Feed
from tradewind.node.projections.keepers import STATES as KEEPER_STATES

from .view import Alarm, Severity

MS_NS: Final = 1_000_000
STALE_ALARM_NS: Final = 30 * 1_000_000_000
"""An index older than this is an alarm, unless its own interval is slower."""
WARN_INTERVALS, STALE_INTERVALS = 2, 5
BREAKERS: Final = ("", "B1", "B2a", "B2b", "B2c", "B3", "B4", "B5", "B6", "B7")
PLATFORM: Final = "platform"
OPEN_PHASES: Final = (1, 2)
"""Tripped, or collecting for an auction."""


class FeedFacts(msgspec.Struct, frozen=True):
    """One feed: ages in ns, None before its first index."""

    age_ns: int | None
    interval_ns: int
    state: str
    updates: int


class LeveragedFacts(msgspec.Struct, kw_only=True):
    """Everything by name; empty where there is nothing."""

    feeds: Mapping[str, FeedFacts] = {}
    open_interest_lots: Mapping[str, int] = {}
    funding_rate_ppb: Mapping[str, int] = {}
    insurance_micro: Mapping[str, int] = {}
    breaker_trips: Mapping[tuple[str, str], int] = {}
    breakers_open: Mapping[tuple[str, str], bool] = {}
    liquidations_pending: int | None = None
    keepers: Mapping[str, int] = {}
    keeper_scores_ppm: Mapping[int, int] = {}


def facts_of(views: ExchangeViews, names: Mapping[int, str], now_ns: int) -> LeveragedFacts:
    """The facts at a moment of the engine's clock; `names` are those of the markets."""
    assets = views.assets.by_number
    breakers = {
        (BREAKERS[one.breaker], _scope(one.market, names)): one for one in views.breakers.by_key.values()
    }
    keepers = views.keepers.by_account
    states = Counter(
        KEEPER_STATES[one.state] if one.state < len(KEEPER_STATES) else "unknown" for one in keepers.values()
    )
    markets = views.leverage.markets.items()
    return LeveragedFacts(
        feeds={one.symbol: _feed(one, now_ns) for one in views.feeds.by_number.values()},
        open_interest_lots={
            names.get(handle, str(handle)): one.open_interest_lots for handle, one in markets
        },
        funding_rate_ppb={names.get(handle, str(handle)): one.funding_rate_ppb for handle, one in markets},
        insurance_micro={
            assets[asset].symbol if asset in assets else str(asset): amount
            for line, _, asset, amount in views.ledger.system_lines()
            if line == Line.INSURANCE
        },
        breaker_trips={key: one.trips for key, one in breakers.items()},
        breakers_open={key: one.phase in OPEN_PHASES for key, one in breakers.items()},
        liquidations_pending=len(views.duties.liquidations),
        keepers=dict(states),
        keeper_scores_ppm={account: one.score_ppm for account, one in keepers.items()},
    )


def _scope(market: int, names: Mapping[int, str]) -> str:
    return PLATFORM if market == NO_MARKET else names.get(market, str(market))


def _feed(feed: Feed, now_ns: int) -> FeedFacts:
    age_ns = max(0, now_ns - feed.updated_ns) if feed.updated_ns else None
    state = FEED_STATES[feed.state] if feed.state < len(FEED_STATES) else "UNKNOWN"
    return FeedFacts(age_ns, feed.interval_ms * MS_NS, state, feed.updates)


def alarms_of(facts: LeveragedFacts) -> Iterator[Alarm]:
    """Feeds that are late by their own interval, feeds older than 30 s, and breakers that halt."""
    for name, feed in facts.feeds.items():
        if feed.age_ns is None:
            continue
        age_s = feed.age_ns // 1_000_000_000
        # A slow feed has the time it declared; beyond both it pages.
        if feed.age_ns > max(STALE_ALARM_NS, STALE_INTERVALS * feed.interval_ns):
            text = f"{name}: no index for {age_s} s"
            yield Alarm(severity=Severity.CRITICAL, code="ORACLE_STALE", text=text)
        elif feed.age_ns > WARN_INTERVALS * feed.interval_ns:
            text = f"{name}: the index is {age_s} s old, {feed.state}"
            yield Alarm(severity=Severity.WARNING, code="ORACLE_LATE", text=text)
    for (breaker, scope), is_open in facts.breakers_open.items():
        if is_open:
            yield Alarm(severity=Severity.CRITICAL, code="BREAKER_TRIPPED", text=f"{breaker} of {scope}")
