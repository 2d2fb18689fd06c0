"""Leveraged markets and positions as the log shows them.

Prices in ticks, sizes in lots, money in micro-quote.
"""

from __future__ import annotations

import msgspec

from tradewind.core.event_types import (
    FundingIndexUpdated,
    MarketRiskSet,
    MarketSettled,
    MarkUpdated,
    PositionChanged,
    PositionSettled,
)
from tradewind.core.events import Event

Key = tuple[int, int, int]
"""Account, sub-account, market."""


class LeveragedMarket(msgspec.Struct):
    """Risk parameters, prices and funding of one market. A price of 0 is unknown."""

    market: int
    max_leverage_e2: int
    size_k_ppm: int
    floor_mmf_ppm: int
    liquidation_fee_e6bp: int
    feed: int
    position_limit: int
    open_interest_cap: int
    impact_notional: int
    insurance_limit: int
    mark: int = 0
    index: int = 0
    mark_ns: int = 0
    feed_state: int = 255
    open_interest_lots: int = 0
    funding_index: int = 0
    funding_rate_ppb: int = 0
    """Of the last hour that was charged."""
    next_funding_ns: int = 0


class Position(msgspec.Struct):
    """A position. `cost` is what its lots were bought for less what they were sold for."""

    account: int
    sub: int
    market: int
    lots: int
    cost: int
    funding_index: int
    leverage_e2: int
    realised: int = 0
    """Profit realised since the log began, in micro-quote."""
    funding_paid: int = 0
    """Funding paid (negative: received) since the log began, in micro-quote."""


class LeverageView:
    """Leveraged markets by handle; positions with lots by (account, sub-account, market)."""

    def __init__(self) -> None:
        self.markets: dict[int, LeveragedMarket] = {}
        self.positions: dict[Key, Position] = {}
        self._flat: dict[Key, Position] = {}
        self._of_account: dict[int, dict[Key, Position]] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, MarkUpdated):
            self._marked(event)
        elif isinstance(event, PositionChanged | PositionSettled):
            self._moved(event)
        elif isinstance(event, FundingIndexUpdated):
            market = self.markets[event.market]
            market.funding_index = wide(event.index_low, event.index_high)
            market.funding_rate_ppb = event.rate_ppb
            market.next_funding_ns = event.next_due_ns
        elif isinstance(event, MarketRiskSet):
            self._set_risk(event)
        elif isinstance(event, MarketSettled) and event.market in self.markets:
            self.markets[event.market].open_interest_lots = 0

    def find(self, account: int, sub: int, market: int) -> Position | None:
        """A position, also one that has no lots any more; None for one that never was."""
        key = (account, sub, market)
        return self.positions.get(key) or self._flat.get(key)

    def of_account(self, account: int, sub: int | None = None) -> list[Position]:
        """Positions with lots of an account (by handle), by sub-account and market."""
        found = self._of_account.get(account, {})
        return [found[key] for key in sorted(found) if sub is None or key[1] == sub]

    def _set_risk(self, event: MarketRiskSet) -> None:
        known = self.markets.get(event.market)
        fields = {
            name: getattr(event, name)
            for name in (
                "max_leverage_e2",
                "size_k_ppm",
                "floor_mmf_ppm",
                "liquidation_fee_e6bp",
                "feed",
                "position_limit",
                "open_interest_cap",
                "impact_notional",
                "insurance_limit",
            )
        }
        if known is None:
            self.markets[event.market] = LeveragedMarket(market=event.market, **fields)
            return
        for name, value in fields.items():
            setattr(known, name, value)

    def _marked(self, event: MarkUpdated) -> None:
        market = self.markets[event.market]
        market.mark, market.index, market.mark_ns = event.mark, event.index, event.time_ns
        market.feed_state, market.open_interest_lots = event.feed_state, event.open_interest_lots

    def _moved(self, event: PositionChanged | PositionSettled) -> None:
        key = (event.account, event.sub, event.market)
        position = self.positions.get(key) or self._flat.pop(key, None)
        if position is None:
            position = Position(event.account, event.sub, event.market, 0, 0, 0, 0)
        before = position.lots
        position.lots, position.cost = event.lots, event.cost
        position.funding_index = wide(event.funding_index_low, event.funding_index_high)
        position.leverage_e2 = event.leverage_e2
        position.realised += event.realised
        position.funding_paid += event.funding_paid
        market = self.markets[event.market]
        market.open_interest_lots += max(event.lots, 0) - max(before, 0)
        own = self._of_account.setdefault(event.account, {})
        if position.lots:
            self.positions[key] = own[key] = position
        else:
            self.positions.pop(key, None)
            own.pop(key, None)
            self._flat[key] = position


def wide(low: int, high: int) -> int:
    """A signed number of 128 bits from its halves (low unsigned, high signed)."""
    return (high << 64) | low
