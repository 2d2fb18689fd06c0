"""The words of one Binance market: spot and USD-M say most things alike; this is what they say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.binance.private_messages import TradeRow
from tradewind.venues.binance.refusals import SPOT_MEANINGS, Meanings
from tradewind.venues.protocol import OrderPhase, VenueState


class MarketWire(msgspec.Struct, frozen=True, kw_only=True):
    """How a market words symbols, orders and executions, and what its refusals mean.

    A state of a symbol that is not in `states` is `UNKNOWN`, every other word that is missing here is
    `Unmapped`.
    """

    market: BinanceMarket
    facts: str
    """Package of the facts (`facts.toml`)."""
    meanings: Meanings
    states: Mapping[str, VenueState]
    phases: Mapping[str, OrderPhase]
    execution_types: frozenset[str]
    executions: frozenset[str]
    """Those among them that tell an execution."""
    with_limit: frozenset[str]
    without_limit: frozenset[str]
    plain_types: frozenset[str]
    """Types that this connector sends; others are named in the reason of a state."""
    trades_path: str
    trade_row: Any
    contracts: frozenset[str]
    """Values of `contractType` that are traded here; spot has no such field."""
    positions: bool = False
    """Whether accounts have positions, so that orders can reduce one."""
    info_fields: tuple[tuple[str, str], ...] = ()
    """Parameters of `exchangeInfo`."""

    def state_of(self, word: str) -> VenueState:
        """The state of a symbol that a word names."""
        return self.states.get(word, VenueState.UNKNOWN)


SPOT_WIRE = MarketWire(
    market=BinanceMarket.SPOT,
    facts="tradewind.venues.binance",
    meanings=SPOT_MEANINGS,
    states={
        "TRADING": VenueState.ONLINE,
        "PRE_TRADING": VenueState.MAINTENANCE,
        "POST_TRADING": VenueState.MAINTENANCE,
        "END_OF_DAY": VenueState.MAINTENANCE,
        "HALT": VenueState.MAINTENANCE,
        "BREAK": VenueState.MAINTENANCE,
        "AUCTION_MATCH": VenueState.MAINTENANCE,
        "CANCEL_ONLY": VenueState.CANCEL_ONLY,
    },
    phases={
        "NEW": OrderPhase.WORKING,
        "PENDING_NEW": OrderPhase.WORKING,
        "PENDING_CANCEL": OrderPhase.WORKING,
        "PARTIALLY_FILLED": OrderPhase.PARTIALLY_FILLED,
        "FILLED": OrderPhase.FILLED,
        "CANCELED": OrderPhase.CANCELLED,
        "REJECTED": OrderPhase.REJECTED,
        "EXPIRED": OrderPhase.EXPIRED,
        "EXPIRED_IN_MATCH": OrderPhase.EXPIRED,
    },
    execution_types=frozenset(
        {"NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION"}
    ),
    executions=frozenset({"TRADE"}),
    with_limit=frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}),
    without_limit=frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"}),
    plain_types=frozenset({"LIMIT", "LIMIT_MAKER"}),
    trades_path="myTrades",
    trade_row=TradeRow,
    contracts=frozenset({""}),
    info_fields=(("showPermissionSets", "false"),),
)
