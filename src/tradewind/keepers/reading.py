"""Duties as the views of the log show them: read in process, and served by the API to workers elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tradewind.core.enums import MarketStatus, TriggerSource
from tradewind.core.units import MICRO
from tradewind.keepers.port import (
    MAX_DUTIES,
    Duties,
    FundingDue,
    LiquidationDue,
    SourceDuties,
    SourceDuty,
    Standing,
    Suspects,
    VenueLink,
    VenueLinks,
)
from tradewind.node.projections.duties import SECOND_NS, Waiting
from tradewind.node.projections.exchange import ExchangeViews

MAX_CHECKED: Final = 1_000
SLICE_GRACE_NS: Final = 5 * SECOND_NS
PROBABILITY: Final = 1
FULL_WEIGHT: Final = 100


def standing_of(views: ExchangeViews, account: bytes) -> Standing:
    """A keeper's record, by the id of its account."""
    owner = views.accounts.by_id.get(account)
    keeper = None if owner is None else views.keepers.by_account.get(owner.account)
    if keeper is None:
        return Standing(registered=False)
    return Standing(registered=True, capabilities=keeper.capabilities, suspended=keeper.suspended)


def duties_of(views: ExchangeViews, account: bytes, now_ns: int) -> Duties:
    """What is due for a keeper at `now_ns`."""
    liquidations = tuple(
        one for *_, one in sorted(_liquidations(views), key=lambda row: row[:4])[:MAX_DUTIES]
    )
    moments = views.duties.funding_due_ns
    funding = tuple(FundingDue(market=market, due_ns=due) for market, due in views.duties.funding(now_ns))
    return Duties(
        now_ns=now_ns,
        standing=standing_of(views, account),
        liquidations=liquidations,
        funding=funding,
        next_funding_ns=min((one for one in moments.values() if one > now_ns), default=0),
    )


def _liquidations(views: ExchangeViews) -> Iterator[tuple[int, int, int, int, LiquidationDue]]:
    """Flagged sub-accounts with their place in the engine's order: the worst ratio first, then the larger
    one, then the older id. Flags are as old as the price that raised them, so ratios are taken at the mark
    of now.
    """
    for one in views.duties.liquidations.values():
        market, prices = views.markets.by_handle[one.market], views.leverage.markets[one.market]
        position = views.leverage.positions.get((one.account, one.sub, one.market))
        unit = market.tick_size * market.lot_size // MICRO
        ratio_ppm = one.ratio_ppm(prices.mark, unit * (0 if position is None else position.lots))
        due = LiquidationDue(
            target=views.accounts.by_handle[one.account].account_id.hex(),
            sub=one.sub,
            market=one.market,
            ratio_ppm=ratio_ppm,
            since_ns=one.since_ns,
            open_ns=one.open_ns,
        )
        yield ratio_ppm, -one.notional, one.account, one.sub, due


def suspects_of(views: ExchangeViews, start: int, now_ns: int) -> Suspects:
    """Waiting orders whose condition holds, and slices whose time has passed, in one part of a round."""
    part = list(views.duties.some_waiting(start, MAX_CHECKED))
    orders = [one.order for one in part if _past(views, one)]
    more = start + len(part) < len(views.duties.waiting)
    if not more:
        limit_ns = now_ns - SLICE_GRACE_NS
        orders += [order for order, due in views.duties.slices_due_ns.items() if due < limit_ns][:MAX_CHECKED]
    return Suspects(checked=len(part), next_start=start + len(part) if more else 0, orders=tuple(orders))


def _past(views: ExchangeViews, one: Waiting) -> bool:
    """Whether the price that the order waits for is there. Halted markets fire nothing; the last trade's
    price is not judged here."""
    market, prices = views.markets.by_handle[one.market], views.leverage.markets.get(one.market)
    if prices is None or market.status != MarketStatus.ACTIVE or market.pause is not None:
        return False
    price = {TriggerSource.MARK: prices.mark, TriggerSource.INDEX: prices.index}.get(
        TriggerSource(one.source), 0
    )
    if price == 0:
        return False
    return price >= one.trigger_price if one.rising else price <= one.trigger_price


def sources_of(views: ExchangeViews, key: bytes, now_ns: int, deployment: bytes) -> SourceDuties:
    """The feeds that a public key is a source of, and the deployment that it signs for."""
    settlement = next((one.symbol for one in views.assets.by_number.values() if one.settles), "")
    feeds = []
    for feed in views.feeds.by_number.values():
        weights = sum(source.weight for source in feed.sources.values())
        if not feed.updates and weights != FULL_WEIGHT:
            continue  # its first set of sources is still being put together: the engine knows none of them
        source = feed.sources.get(key)
        if source is not None and source.weight:
            feeds.append(
                SourceDuty(
                    feed=feed.feed,
                    symbol=feed.symbol,
                    interval_ms=feed.interval_ms,
                    probability=feed.feed_kind == PROBABILITY,
                    source_time_ns=source.source_time_ns,
                    source_seq=source.source_seq,
                )
            )
    return SourceDuties(now_ns=now_ns, settlement=settlement, deployment=deployment.hex(), feeds=tuple(feeds))


def venue_links_of(views: ExchangeViews, key: bytes, now_ns: int) -> VenueLinks:
    """The markets that a public key publishes venue quotes for."""
    links = [
        VenueLink(market=one.market, condition=one.condition, outcomes=one.outcomes)
        for one in views.venues.of_source(key)
    ]
    return VenueLinks(now_ns=now_ns, links=tuple(links))
