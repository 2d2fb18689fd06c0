"""The order cap of the stage, where orders become records (T17.4): above it nothing can be journaled,
whatever profile, strategy or command line say.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from tradewind.venues.market_data import Instrument, Side

from .stages import REAL, Stage


class StageCapExceeded(ValueError):
    """The order is larger than the stage allows; nothing was journaled and nothing was sent."""

    code = "StageCapExceeded"


class OrderCap(Protocol):
    """Asked before an order or its change becomes a record."""

    def check(
        self, instrument: Instrument, side: Side, price_ticks: int, lots: int, *, post_only: bool
    ) -> None:
        """Raises `StageCapExceeded`."""


class StageCap:
    """The cap of the stage in which the trader stands now. `reference` is the price at which a market would
    trade (the best one known); None while none is known.
    """

    def __init__(
        self,
        stage: Callable[[], Stage],
        reference: Callable[[str], Decimal | None],
        placed: Callable[[str, Decimal], None] = lambda *_: None,
    ) -> None:
        """`placed` is told what passed, and how large it was."""
        self._stage, self._reference, self._placed = stage, reference, placed

    def check(
        self, instrument: Instrument, side: Side, price_ticks: int, lots: int, *, post_only: bool
    ) -> None:
        """See `OrderCap`. A sell order with a low limit trades at the market's price, and counts at that."""
        stage = self._stage()
        cap = stage.order_cap_quote
        price = instrument.tick * price_ticks
        if side is Side.SELL and not post_only:
            reference = self._reference(instrument.symbol)
            if reference is None and cap is None:
                reference = price
            if reference is None:
                raise StageCapExceeded(f"{instrument.symbol}: no price is known, so a sale has no known size")
            price = max(price, reference)
        notional = price * instrument.lot * lots
        if cap is not None and notional > cap:
            raise StageCapExceeded(
                f"{notional:f} is above the {cap:f} {instrument.quote} of stage {stage.name}"
            )
        self._placed(instrument.symbol, notional)


class NoCap:
    """For environments without real funds: nothing is bounded here."""

    def check(
        self, instrument: Instrument, side: Side, price_ticks: int, lots: int, *, post_only: bool
    ) -> None:
        """See `OrderCap`."""


class NothingPasses:
    """What an order book of real funds has until a ramp gives it its cap."""

    def check(
        self, instrument: Instrument, side: Side, price_ticks: int, lots: int, *, post_only: bool
    ) -> None:
        """See `OrderCap`."""
        raise StageCapExceeded("real funds, and no stage of the ramp is known: nothing may be journaled")


def cap_of(environment: str) -> OrderCap:
    """What an order book begins with: nothing is allowed with real funds before the ramp says how much."""
    return NothingPasses() if environment in REAL else NoCap()


def ineligible(
    instrument: Instrument, price: Decimal, stage: Stage, margin_pct: Decimal = Decimal(10)
) -> str:
    """Why a pair cannot be traded in a stage: the venue's least order, with a margin, is above the cap. The
    cap is never raised to fit (T17.1). "" when it can.
    """
    cap = stage.order_cap_quote
    if cap is None:
        return ""
    least = max(instrument.min_notional or Decimal(0), (instrument.min_quantity or instrument.lot) * price)
    least *= 1 + margin_pct / 100
    return (
        ""
        if least <= cap
        else f"{instrument.symbol}: the venue's least order is {least:f}, the cap is {cap:f}"
    )
