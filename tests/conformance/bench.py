"""What the suite needs of a venue beyond the protocol: an outside market, the truth, the clock, and faults.

A new connector brings one class derived from `Bench` and one line in `conftest.py`; the tests stay as they
are. A bench is made anew for every test. Prices are ticks and quantities lots of `instrument`.
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from tradewind.gateways.faults import FaultPlan
from tradewind.venues.market_data import FeedEvent, Instrument, Side
from tradewind.venues.protocol import (
    Acked,
    NewOrder,
    OrderPhase,
    OrderRef,
    OrderType,
    PrivateEvent,
    TimeInForce,
    Venue,
)
from tradewind.venues.transport.signer import SignerLane

T = TypeVar("T")
OWN_SPANS = os.environ.get("TRADEWIND_BENCH_SPANS", "short") == "own"
"""Connectors wait as long as they do in production (seconds) instead of a fraction of it."""
DEADLINE_S = 90.0 if OWN_SPANS else 20.0


class Fault(StrEnum):
    """What the wire, or the venue behind it, does to the next request of a kind (T7.12)."""

    TIMEOUT = "timeout"
    """executes, never answers"""
    ERROR_AFTER = "5xx_after"
    """executes, then answers a server error"""
    ERROR_BEFORE = "5xx_before"
    """answers a server error and does nothing"""
    TOO_MANY = "429"
    BANNED = "418"
    RESET_AFTER = "reset_after"
    """executes, then cuts the connection"""
    RESET_BEFORE = "reset_before"
    """cuts the connection and does nothing"""
    SLOW = "slow"
    """answers after the connector has given up"""
    DUPLICATE = "duplicate_ack"
    REORDER = "out_of_order"
    """private events change places"""
    LOST = "lost"
    """acknowledges and forgets"""
    MALFORMED = "malformed"
    """executes, answers what nobody can read"""


class Act(StrEnum):
    """The request that a fault hits."""

    PLACE = "place"
    CANCEL = "cancel"
    AMEND = "amend"


@dataclass(frozen=True)
class TrueOrder:
    """An order as the venue itself holds it."""

    client_id: str
    phase: OrderPhase
    price_ticks: int
    lots: int
    filled_lots: int


@dataclass(frozen=True)
class TrueFill:
    """An execution as the venue itself holds it."""

    client_id: str
    side: Side
    price_ticks: int
    lots: int
    fee: Decimal
    maker: bool


class Bench(ABC):
    """One venue under test with everything around it."""

    venue: Venue
    account = "trader"
    symbol: str
    instrument: Instrument
    middle_ticks: int
    """A price in the middle of the range where the suite trades; nothing rests within 50 ticks of it."""
    usual_lots: int
    """A size that every filter allows at `middle_ticks`, and the funds 20 times over."""
    faults: frozenset[Fault] = frozenset()
    events: list[PrivateEvent]
    market_events: list[FeedEvent]

    # ---- the bench's own work ----------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    async def open(cls) -> Bench:
        """Everything running, the private stream live and read into `events`, market data into
        `market_events`."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def step(self, seconds: float = 0.0) -> None:
        """Let time pass: virtual where the venue's clock is, else real. With 0: let what is due happen."""

    @abstractmethod
    def now_ns(self) -> int:
        """The venue's clock."""

    @abstractmethod
    async def quote(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        """The outside market shows exactly these levels: (price_ticks, lots), best first."""

    @abstractmethod
    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        """Somebody outside buys or sells at once up to a price, and takes what rests there."""

    @abstractmethod
    async def true_orders(self) -> list[TrueOrder]:
        """Every order of the account that was ever accepted, read behind the connector."""

    @abstractmethod
    async def true_fills(self) -> list[TrueFill]:
        """Every execution of the account, oldest first, read behind the connector."""

    @abstractmethod
    async def true_totals(self) -> dict[str, Decimal]:
        """Free plus held of every asset, read behind the connector."""

    async def inject(self, fault: Fault, act: Act) -> None:
        """Let the next request of this kind go wrong. Only for faults in `faults`."""
        raise NotImplementedError

    async def heal(self) -> None:
        """No fault any more."""
        return

    horizon_ns = 5_000_000_000 if OWN_SPANS else 1_000_000_000
    """How long behind a submit its outcome may be open, as an order desk states it."""
    misbehaves = False
    """Whether `misbehave` works."""

    async def misbehave(self, seed: int) -> None:
        """From now on anything may go wrong anywhere, drawn from the seed."""
        raise NotImplementedError

    def wire_report(self) -> dict[str, object]:
        """What faults were done, and what requests went out by class and outcome."""
        return {}

    def fault_log(self) -> list[str]:
        """Every fault that was done, in order."""
        return []

    # ---- what the tests use ------------------------------------------------------------------------------

    _ids = 0

    def new_id(self) -> str:
        """A client id that was never used."""
        self._ids += 1
        return f"tw{self._ids:016d}"

    def order(
        self,
        side: Side,
        price_ticks: int,
        lots: int | None = None,
        *,
        order_type: OrderType = OrderType.LIMIT,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        symbol: str | None = None,
        client_id: str | None = None,
    ) -> NewOrder:
        return NewOrder(
            client_id=client_id or self.new_id(), symbol=symbol or self.symbol, side=side,
            order_type=order_type, time_in_force=time_in_force, post_only=post_only,
            price_ticks=price_ticks, lots=self.usual_lots if lots is None else lots,
        )  # fmt: skip

    def reference(self, client_id: str) -> OrderRef:
        return OrderRef(client_id=client_id, symbol=self.symbol)

    async def run(self, work: Awaitable[T]) -> T:
        """Await an answer while the world goes on."""
        task = asyncio.ensure_future(work)
        give_up_s = time.monotonic() + DEADLINE_S
        while not task.done():
            if time.monotonic() > give_up_s:
                task.cancel()
                raise AssertionError(f"no answer in {DEADLINE_S:g} s")
            await self.step()
        return task.result()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition while the world goes on."""
        give_up_s = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > give_up_s:
                raise AssertionError(f"not in {DEADLINE_S:g} s: {what}")
            await self.step(0.01)

    async def until_true(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for a condition that has to ask."""
        give_up_s = time.monotonic() + DEADLINE_S
        pause_s = 0.01
        while not await condition():
            if time.monotonic() > give_up_s:
                raise AssertionError(f"not in {DEADLINE_S:g} s: {what}")
            await self.step(pause_s)
            pause_s = min(2 * pause_s, 0.5)  # questions cost points at a venue

    async def place(self, side: Side, price_ticks: int, lots: int | None = None) -> NewOrder:
        """A limit order that the venue accepted."""
        order = self.order(side, price_ticks, lots)
        answer = await self.run(self.venue.submit(order, 1))
        assert isinstance(answer, Acked), answer
        return order

    async def true_order(self, client_id: str) -> TrueOrder | None:
        """The order of this client id. Two of them fail the test: no id ever makes two orders here."""
        found = [one for one in await self.true_orders() if one.client_id == client_id]
        assert len(found) <= 1, f"{len(found)} orders of client id {client_id}: {found}"
        return found[0] if found else None

    async def hold(self, lots: int) -> None:
        """Own this much of the base asset: buy it from the outside."""
        price = self.middle_ticks + 200
        await self.quote([], [(price, lots)])
        order = self.order(Side.BUY, price, lots, time_in_force=TimeInForce.IOC)
        answer = await self.run(self.venue.submit(order, 1))
        assert isinstance(answer, Acked), answer
        truth = await self.true_order(order.client_id)
        assert truth is not None
        assert truth.phase is OrderPhase.FILLED


def wire_report(faults: FaultPlan, lane: SignerLane) -> dict[str, object]:
    """What a gateway did to a connector, and what the connector asked of it."""
    outcomes = {f"{cls} {outcome}": number for (cls, outcome), number in lane.facts().outcomes.items()}
    return {"faults": {str(one): number for one, number in faults.counts.items()}, "requests": outcomes}


def fault_log(faults: FaultPlan) -> list[str]:
    return [f"{one.fault} {one.surface} {one.name} rule {one.rule} match {one.number}" for one in faults.log]
