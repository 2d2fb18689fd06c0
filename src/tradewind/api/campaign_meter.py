"""Measures what a campaign cannot read off anybody: every request to the venue, every order, every fill.

It stands between the order management and the paper venue and passes everything on unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

from tradewind.trader.campaign.samples import ApiFigures, FillLine, OrderLine
from tradewind.trader.campaign.statistics import Histogram
from tradewind.trader.session import Session
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Side
from tradewind.venues.paper.latency import Z_99, LatencyConfig
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    FillEvent,
    NewOrder,
    OrderEvent,
    PrivateEvent,
    Rejected,
    Uncertain,
)

SECOND_NS: Final = 1_000_000_000
MAX_OUTSTANDING: Final = 10_000
ERROR_CODES: Final = frozenset(
    {
        RejectCode.RATE_LIMITED,
        RejectCode.RATE_LIMITED_LOCAL,
        RejectCode.VENUE_BUSY,
        RejectCode.NOT_AUTHORISED,
        RejectCode.INVALID_NONCE,
        RejectCode.INVALID_REQUEST,
        RejectCode.ENGINE_RESTRICTED,
        RejectCode.MAINTENANCE,
        "TooManyRequests",
    }
)
"""Refusals that are errors of the interface, not an answer about the order."""


class VenueMeter:
    """Counts since the process started, and what changed since the last sample."""

    def __init__(
        self,
        session: Session,
        campaign_s: Callable[[], float],
        on_order: Callable[[OrderLine], None],
        on_fill: Callable[[FillLine], None],
    ) -> None:
        self.session = session
        self.venue = session.venue
        self.submits = self.acks = self.preventable = self.refused = self.nonce_rejects = 0
        self.uncertain = self.fills = 0
        self.first_cancel_ns: int | None = None
        """Monotonic moment of the first cancel since it was set to None."""
        self._campaign_s, self._on_order, self._on_fill = campaign_s, on_order, on_fill
        self._outstanding: dict[str, int] = {}
        self._longest_ns = 0
        self._requests = 0
        self._errors: dict[str, int] = {}
        self._latency = Histogram()
        self._late_ms = 0.0
        self._delivered = 0

    def attach(self) -> None:
        """From now on everything passes through here."""
        import time

        venue, honest = self.venue, self.venue.cancel_all

        async def cancel_all(symbol: str | None, epoch: int) -> Any:
            self._requests += 1
            answer = await honest(symbol, epoch)
            if self.first_cancel_ns is None:
                self.first_cancel_ns = time.monotonic_ns()
            if isinstance(answer, Uncertain):
                self._error("uncertain")
            return answer

        # Instance attributes in front of the methods: the venue itself stays as it is.
        for name, passed in (
            ("send", self._sending(venue.send)),
            ("send_amend", self._changing(venue.send_amend)),
            ("send_cancel", self._changing(venue.send_cancel)),
            ("cancel_all", cancel_all),
        ):
            setattr(venue, name, passed)
        self._watch_lateness()
        venue.subscribe(self.on_private)

    def _watch_lateness(self) -> None:
        """How long requests and reports that the emulated wire had delivered waited for this process."""
        venue, honest = self.venue, self.venue._push

        def push(due_ns: int, work: Callable[[], Awaitable[None]]) -> None:
            async def late() -> None:
                self._late_ms += max(0, venue.port.now_ns() - due_ns) / 1e6
                self._delivered += 1
                await work()

            honest(due_ns, late)

        setattr(venue, "_push", push)  # noqa: B010 in front of the method of this one venue

    # ---- requests ----------------------------------------------------------------------------------

    def _sending(self, honest: Callable[..., None]) -> Callable[..., None]:
        def send(order: NewOrder, epoch: int, done: Callable[[Any], None]) -> None:
            begin_ns = self._begin(order.client_id)
            self._submitted(order, begin_ns)

            def answered(answer: Any) -> None:
                latency_ms = self._answered(order.client_id, begin_ns, answer)
                self._told(order.client_id, answer, latency_ms)
                done(answer)

            honest(order, epoch, answered)

        return send

    def _changing(self, honest: Callable[..., None]) -> Callable[..., None]:
        def change(reference: Any, *arguments: Any) -> None:
            *passed, done = arguments
            name = f"change {reference.client_id}"
            begin_ns = self._begin(name)

            def answered(answer: Any) -> None:
                self._answered(name, begin_ns, answer)
                done(answer)

            honest(reference, *passed, answered)

        return change

    def _begin(self, name: str) -> int:
        now_ns = self.venue.port.now_ns()
        self._requests += 1
        if len(self._outstanding) < MAX_OUTSTANDING:
            self._outstanding.setdefault(name, now_ns)
        return now_ns

    def _answered(self, name: str, begin_ns: int, answer: Any) -> float:
        now_ns = self.venue.port.now_ns()
        latency_ms = (now_ns - begin_ns) / 1e6
        self._latency.observe(latency_ms)
        if isinstance(answer, Uncertain):
            self._error("uncertain")
        else:
            self._longest_ns = max(self._longest_ns, now_ns - self._outstanding.pop(name, begin_ns))
        if isinstance(answer, Rejected) and answer.code in ERROR_CODES:
            self._error(answer.code)
        return latency_ms

    def _error(self, name: str) -> None:
        self._errors[name] = self._errors.get(name, 0) + 1

    def _submitted(self, order: NewOrder, now_ns: int) -> None:
        self.submits += 1
        instrument = self.venue.markets[order.symbol].setup.instrument
        self._on_order(
            OrderLine(
                what="submit",
                at_ns=now_ns,
                campaign_s=round(self._campaign_s(), 3),
                client_id=order.client_id,
                symbol=order.symbol,
                side=_side(order.side),
                price=f"{instrument.tick * order.price_ticks:f}",
                quantity=f"{instrument.lot * order.lots:f}",
            )
        )

    def _told(self, client_id: str, answer: Any, latency_ms: float) -> None:
        now_ns = self.venue.port.now_ns()
        if isinstance(answer, Acked | AlreadyFinal):
            self.acks += 1
            line = OrderLine(what="ack", at_ns=now_ns, client_id=client_id, latency_ms=round(latency_ms, 3))
        elif isinstance(answer, Rejected):
            self.preventable += answer.preventable
            self.refused += not answer.preventable
            self.nonce_rejects += answer.code == RejectCode.INVALID_NONCE
            line = OrderLine(
                what="reject", at_ns=now_ns, client_id=client_id, code=str(answer.code),
                preventable=answer.preventable, latency_ms=round(latency_ms, 3),
            )  # fmt: skip
        else:
            self.uncertain += 1
            line = OrderLine(what="uncertain", at_ns=now_ns, client_id=client_id)
        self._on_order(line)

    # ---- private stream ----------------------------------------------------------------------------

    def on_private(self, event: PrivateEvent) -> None:
        """An event of the paper account."""
        if isinstance(event, FillEvent):
            self.record_fill(event)
        elif isinstance(event, OrderEvent) and event.state.phase in FINAL_PHASES:
            state = event.state
            self.end(state.client_id, str(state.phase), state.filled_lots, state.symbol, state.updated_ns)

    def record_fill(self, fill: FillEvent) -> None:
        """One execution into the series; the last one ends its order."""
        self.fills += 1
        instrument = self.venue.markets[fill.symbol].setup.instrument
        position = self.session.trader.ledger.positions.get(fill.symbol)
        self._on_fill(
            FillLine(
                at_ns=fill.venue_ts_ns,
                campaign_s=round(self._campaign_s(), 3),
                trade_id=fill.trade_id,
                client_id=fill.client_id,
                symbol=fill.symbol,
                side=_side(fill.side),
                price=f"{instrument.tick * fill.price_ticks:f}",
                quantity=f"{instrument.lot * fill.lots:f}",
                fee=f"{fill.fee:f}",
                fee_asset=fill.fee_asset,
                maker=fill.maker,
                realised=f"{Decimal(0) if position is None else position.realised:f}",
            )
        )
        if fill.remaining_lots == 0:
            self.end(fill.client_id, "filled", None, fill.symbol, fill.venue_ts_ns)

    def end(self, client_id: str, state: str, filled_lots: int | None, symbol: str, at_ns: int) -> None:
        """The order has ended."""
        self._outstanding.pop(client_id, None)
        market = self.venue.markets.get(symbol)
        filled = ""
        if filled_lots is not None and market is not None:
            filled = f"{market.setup.instrument.lot * filled_lots:f}"
        self._on_order(
            OrderLine(what="end", at_ns=at_ns, client_id=client_id, symbol=symbol, state=state, filled=filled)
        )

    # ---- for a sample ------------------------------------------------------------------------------

    @property
    def unknown_open(self) -> int:
        """Requests without an answer now."""
        return len(self._outstanding)

    def take_longest_s(self) -> float:
        """The longest time without an answer since the last call, those that still wait included."""
        now_ns = self.venue.port.now_ns()
        waiting = (now_ns - begin_ns for begin_ns in self._outstanding.values())
        longest_ns = max(self._longest_ns, max(waiting, default=0))
        self._longest_ns = 0
        return longest_ns / SECOND_NS

    def take_api(self) -> ApiFigures:
        """Requests, errors and latency since the last call."""
        mean_ms, floor_ms = self._latency.mean, mean_wire_ms(self.venue.latency.config)
        if mean_ms is not None and self._delivered:
            # A round trip is delivered twice: as the request at the venue, and as the report here.
            floor_ms = max(0.0, mean_ms - 2 * self._late_ms / self._delivered)
        figures = ApiFigures(
            requests=self._requests,
            errors=self._errors,
            latency=self._latency,
            wire_floor_ms=round(floor_ms, 3),
        )
        self._late_ms, self._delivered = 0.0, 0
        self._requests, self._errors, self._latency = 0, {}, Histogram()
        return figures


def mean_wire_ms(config: LatencyConfig) -> float:
    """Mean round trip of the emulated wire: the means of its log-normal ways there and back (T15.3)."""
    there = _log_normal_mean(config.entry_median_ms, config.entry_p99_ms)
    return there + _log_normal_mean(config.report_median_ms, config.report_p99_ms)


def _log_normal_mean(median_ms: float, p99_ms: float) -> float:
    if median_ms <= 0:
        return 0.0
    deviation = math.log(p99_ms / median_ms) / Z_99
    return median_ms * math.exp(deviation * deviation / 2)


def _side(side: Side | int) -> str:
    return "buy" if int(side) == int(Side.BUY) else "sell"
