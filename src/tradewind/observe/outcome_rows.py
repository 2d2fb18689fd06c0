"""Outcome and distribution markets as the console shows them: those that need eyes first.

A price is the middle of the outcome's book, else the pool's, else the last trade (of two outcomes), and once
a payout is final what a whole contract is paid. It says which; without any of them it is unknown.
"""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import Final

from tradewind.core import native
from tradewind.core.enums import Line, MarketKind, MarketStatus, Side
from tradewind.core.units import from_micros
from tradewind.node.projections.claims import POOL
from tradewind.node.projections.directory import Market
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.pools import DYNAMIC, KINDS, Pool
from tradewind.node.projections.resolution import STAGES, WHOLE_PPM

from .view import MAX_OUTCOME_MARKETS, MAX_OUTCOME_PRICES, OutcomePrice, OutcomeRow, OutcomesView

MS_NS: Final = 1_000_000
BINARY: Final = ("yes", "no")
STAGE_ORDER: Final = ("disputed", "proposed", "decided")
"""Stages that somebody has to look at, the most urgent first."""
PPB: Final = 1_000_000_000


def outcomes_of(views: ExchangeViews, now_ns: int) -> OutcomesView:
    """Every market of outcomes counted, the first few shown."""
    markets = [one for one in views.markets.by_handle.values() if one.has_outcomes]
    shown = heapq.nsmallest(MAX_OUTCOME_MARKETS, markets, key=lambda one: _urgency(views, one))
    return OutcomesView(
        rows=tuple(_row(views, one, now_ns) for one in shown),
        count=len(markets),
        trading=sum(one.status is MarketStatus.ACTIVE and one.pause is None for one in markets),
        disputed=sum(_stage(views, one) == "disputed" for one in markets),
    )


def _stage(views: ExchangeViews, market: Market) -> str:
    resolution = views.resolutions.by_market.get(market.market)
    return "" if resolution is None else STAGES[resolution.stage]


def _urgency(views: ExchangeViews, market: Market) -> tuple[int, int, int]:
    stage = _stage(views, market)
    if stage in STAGE_ORDER:
        return STAGE_ORDER.index(stage), market.settle_time_ns, market.market
    over = market.status >= MarketStatus.SETTLED or stage == "final"
    waits = not over and market.status >= MarketStatus.CLOSED
    first = len(STAGE_ORDER)
    rank = first + 2 if over else first if waits else first + 1
    # What is over comes newest first, what trades by how soon it ends.
    return rank, -market.settle_time_ns if over else market.settle_time_ns, market.market


def _row(views: ExchangeViews, market: Market, now_ns: int) -> OutcomeRow:
    pool = views.pools.by_market.get(market.market)
    question = views.questions.by_market.get(market.market)
    if market.kind is MarketKind.DISTRIBUTION:
        kind, backing = "distribution", None if question is None else question.cash
        estimate = "" if question is None else _estimate(question.claim)
    else:
        kind, estimate = "" if pool is None else KINDS[pool.kind], ""
        line = views.ledger.system_line(Line.POOL_CASH, market.quote, market.market + 1)
        backing = None if pool is None else line
    return OutcomeRow(
        symbol=f"{market.kind.name}-{market.market}",
        status="paused" if market.pause is not None else market.status.name.lower(),
        stage=_stage(views, market),
        outcomes=market.outcome_count,
        prices=() if market.kind is MarketKind.DISTRIBUTION else _prices(views, market, pool, now_ns),
        estimate=estimate,
        pool=kind,
        pool_cash=None if backing is None else _text(from_micros(backing)),
        sets=_text(from_micros(views.claims.sets(market.market))),
        settles_in_ms=(market.settle_time_ns - now_ns) // MS_NS,
    )


def _estimate(claim: tuple[int, int]) -> str:
    mean, width = (_text(from_micros(number)) for number in claim)
    return f"{mean} ± {width}"


def _text(number: Decimal) -> str:
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _prices(views: ExchangeViews, market: Market, pool: Pool | None, now_ns: int) -> tuple[OutcomePrice, ...]:
    count = market.outcome_count
    names = BINARY if count == len(BINARY) else tuple(str(number) for number in range(count))
    resolution = views.resolutions.by_market.get(market.market)
    found: list[tuple[str | None, str]]
    if resolution is not None and STAGES[resolution.stage] == "final":
        found = [(_price(ppm, WHOLE_PPM), "payout") for ppm in resolution.standing]
    else:
        pooled = None if pool is None else _pool_prices(views, market, pool, now_ns)
        found = [_one(views, market, outcome, pooled) for outcome in range(count)]
    rows = [OutcomePrice(name, *price) for name, price in zip(names, found, strict=True)]
    return tuple(rows[:MAX_OUTCOME_PRICES])


def _price(part: int, whole: int) -> str:
    return str((Decimal(part) / whole).quantize(Decimal("0.001")))


def _one(
    views: ExchangeViews, market: Market, outcome: int, pooled: list[int] | None
) -> tuple[str | None, str]:
    ticks = market.payout_ticks
    flips = market.flips(outcome)
    book = views.books.book(market.market, 0 if flips else outcome)
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    if bid is not None and ask is not None:
        twice = bid + ask
        return _price(2 * ticks - twice if flips else twice, 2 * ticks), "book"
    if pooled is not None:
        return _price(pooled[outcome], PPB), "pool"
    # The tape of more outcomes does not say whose price it is.
    last = views.trades.tape(market.market).last_price if market.outcome_count == len(BINARY) else None
    return (None, "") if last is None else (_price(ticks - last if flips else last, ticks), "last trade")


def _pool_prices(views: ExchangeViews, market: Market, pool: Pool, now_ns: int) -> list[int] | None:
    """Prices in 1e-9 as the pool's next touch finds it; None once a dynamic one has no liquidity left."""
    count, liquidity = market.outcome_count, pool.liquidity
    reserves = [views.claims.holding(POOL, market.market, outcome).free for outcome in range(count)]
    if pool.kind == DYNAMIC:
        reserves = [mine - free for mine, free in zip(reserves, pool.released, strict=True)]
        times = (pool.created_ns, market.settle_time_ns, now_ns)
        if liquidity:
            liquidity, reserves, _ = native.pool_touched(liquidity, pool.base, times, reserves)
    return native.pool_prices(pool.kind, liquidity, reserves) if liquidity else None
