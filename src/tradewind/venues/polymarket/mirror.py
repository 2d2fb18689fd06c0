"""The account as Polymarket tells it: orders and fills, each event once and in order.

A matched trade is provisional until it is CONFIRMED: its fill is told at MATCHED, what FAILED is taken back
(`on_reversed`). The maker's side is read from the maker entry of our own order, never from the taker's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.polymarket.directory import Directory, TokenRules
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.polymarket.messages import (
    NS,
    QUOTE,
    OrderRow,
    TradeRow,
    Unmapped,
    finite,
    lots_of,
    side_of,
    ticks_of,
)
from tradewind.venues.protocol import (
    FINAL_PHASES,
    FillEvent,
    OrderEvent,
    OrderPhase,
    OrderState,
    PrivateEvent,
)

MAX_FINISHED: Final = 10_000
MAX_FILLS: Final = 100_000
BPS: Final = 10_000
MICRO_UNIT: Final = Decimal("0.000001")
IMMEDIATE: Final = frozenset({"FOK", "FAK"})
TIME_CHARS: Final = 16
PROVISIONAL: Final = frozenset({"MATCHED", "MINED", "RETRYING"})
TRADE_STATES: Final = PROVISIONAL | {"CONFIRMED", "FAILED"}
MAKER_ID_DIGITS: Final = 16


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one of our orders."""

    trade_id: str
    reference: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    fee: Decimal
    maker: bool
    status: str
    time_ns: int


class Mirror:
    """Orders by hash, fills by id. `emit` hears every event. Sequences are ns of the venue's time, made
    strictly increasing here.
    """

    def __init__(
        self,
        venue: str,
        account: str,
        address: str,
        intents: IntentBook,
        emit: Callable[[PrivateEvent], None],
    ) -> None:
        self.venue, self.account, self.address = venue, account, address.lower()
        self.directory = Directory()
        self.intents = intents
        self.working: dict[str, OrderState] = {}
        self.finished: OrderedDict[str, OrderState] = OrderedDict()
        self.filled: OrderedDict[str, int] = OrderedDict()
        """Lots of told fills by hash."""
        self.provisional: dict[str, FillEvent] = {}
        """Fills that may still be reversed, by trade id."""
        self.reversed_fills = 0
        self.repeated_fills = 0
        self.last_fill_ns = 0
        self.quiet = False
        self.on_reversed: Callable[[FillEvent], None] = lambda fill: None
        self.on_gap: Callable[[str], None] = lambda reference: None
        """An order says that more of it is filled than its fills do (T7.8)."""
        self._emit_to = emit
        self._fills: OrderedDict[str, None] = OrderedDict()
        self._sequence = 0

    # ---- looking -----------------------------------------------------------------------------------------

    def get(self, reference: str) -> OrderState | None:
        """The order of a hash."""
        return self.working.get(reference) or self.finished.get(reference)

    def state_of(self, row: OrderRow, updated_ns: int) -> OrderState:
        """An order's row. Raises `Unmapped`."""
        rules = self._rules(row.asset_id)
        intent = self.intents.of_reference(row.id)
        lots = lots_of(rules.instrument, row.original_size)
        filled = lots_of(rules.instrument, row.size_matched)
        kind = intent.order_type if intent is not None else row.order_type
        if intent is not None:
            lots = max(intent.lots, filled)
        return OrderState(
            client_id="" if intent is None else intent.client_id,
            venue_id=row.id,
            symbol=rules.instrument.symbol,
            side=side_of(row.side),
            phase=_phase(row.status, kind, lots, filled),
            price_ticks=ticks_of(rules.instrument, row.price),
            lots=lots,
            filled_lots=filled,
            updated_ns=updated_ns,
        )

    def executions(self, row: TradeRow) -> Iterator[Execution]:
        """Our parts of a trade. Raises `Unmapped`."""
        status = row.status.upper()
        if status not in TRADE_STATES:
            raise Unmapped(f"trade {row.id[:40]}: status {row.status[:20]!r}")
        if not (row.match_time.isascii() and row.match_time.isdigit() and len(row.match_time) <= TIME_CHARS):
            raise Unmapped(f"trade {row.id[:40]}: time {row.match_time[:20]!r}")
        time_ns = int(row.match_time) * NS
        own = self.intents.of_reference(row.taker_order_id)
        if own is not None:
            rules = self._rules(row.asset_id)
            lots = lots_of(rules.instrument, row.size)
            price = ticks_of(rules.instrument, row.price)
            yield Execution(
                trade_id=row.id,
                reference=row.taker_order_id,
                symbol=rules.instrument.symbol,
                side=side_of(row.side),
                price_ticks=price,
                lots=lots,
                fee=fee_of(rules, price, lots, row.fee_rate_bps),
                maker=False,
                status=status,
                time_ns=time_ns,
            )
        for entry in row.maker_orders:
            intent = self.intents.of_reference(entry.order_id)
            if intent is None and entry.maker_address.lower() != self.address:
                continue
            rules = self._rules(entry.asset_id)
            lots = lots_of(rules.instrument, entry.matched_amount)
            price = ticks_of(rules.instrument, entry.price)
            side = side_of(entry.side) if entry.side else intent.side if intent is not None else None
            if side is None:
                raise Unmapped(f"trade {row.id[:40]} names no side of {entry.order_id[:20]}")
            yield Execution(
                trade_id=f"{row.id}-{entry.order_id[2 : 2 + MAKER_ID_DIGITS]}",
                reference=entry.order_id,
                symbol=rules.instrument.symbol,
                side=side,
                price_ticks=price,
                lots=lots,
                fee=fee_of(rules, price, lots, entry.fee_rate_bps),
                maker=True,
                status=status,
                time_ns=time_ns,
            )

    # ---- hearing -----------------------------------------------------------------------------------------

    def apply(self, state: OrderState) -> None:
        """An order is now so. Nothing is told when that is known, or less than what is known."""
        known = self.get(state.venue_id)
        if known is not None and (known.phase in FINAL_PHASES or not _newer(known, state)):
            return
        if state.phase in FINAL_PHASES:
            self.working.pop(state.venue_id, None)
            self.finished[state.venue_id] = state
            if len(self.finished) > MAX_FINISHED:
                self.finished.popitem(last=False)
        else:
            self.working[state.venue_id] = state
        self._emit(
            OrderEvent(state=state, sequence=self._next(state.updated_ns), venue_ts_ns=state.updated_ns)
        )
        if self.lacks_fills(state.venue_id):
            self.on_gap(state.venue_id)

    def lacks_fills(self, reference: str) -> bool:
        """Whether an order is filled further than its fills tell."""
        state = self.get(reference)
        return state is not None and state.filled_lots > self.filled.get(reference, 0)

    def settle(self, one: Execution) -> bool:
        """An execution in one of its states. True when it was told."""
        if one.status == "FAILED":
            self._reverse(one)
            return False
        if one.trade_id in self._fills:
            self.repeated_fills += one.status == "MATCHED"
            if one.status == "CONFIRMED":
                self.provisional.pop(one.trade_id, None)
            return False
        self.remember(one.trade_id)
        self.last_fill_ns = max(self.last_fill_ns, one.time_ns)
        filled = self.filled[one.reference] = self.filled.get(one.reference, 0) + one.lots
        self.filled.move_to_end(one.reference)
        if len(self.filled) > MAX_FILLS:
            self.filled.popitem(last=False)
        event = self.fill_event(one, filled, self._next(one.time_ns))
        if one.status in PROVISIONAL and len(self.provisional) < MAX_FILLS:
            self.provisional[one.trade_id] = event
        self._emit(event)
        return True

    def fill_event(self, one: Execution, filled_lots: int, sequence: int) -> FillEvent:
        """An execution as an event; nothing is remembered or told."""
        intent = self.intents.of_reference(one.reference)
        return FillEvent(
            venue=self.venue,
            account=self.account,
            symbol=one.symbol,
            trade_id=one.trade_id,
            client_id="" if intent is None else intent.client_id,
            venue_id=one.reference,
            side=one.side,
            price_ticks=one.price_ticks,
            lots=one.lots,
            remaining_lots=0 if intent is None else max(0, intent.lots - filled_lots),
            fee=one.fee,
            fee_asset=QUOTE,
            maker=one.maker,
            sequence=sequence,
            venue_ts_ns=one.time_ns,
        )

    def remember(self, trade_id: str) -> None:
        """An execution that is known, and not told."""
        self._fills[trade_id] = None
        if len(self._fills) > MAX_FILLS:
            self._fills.popitem(last=False)

    def knows_fill(self, trade_id: str) -> bool:
        """Whether an execution was told already."""
        return trade_id in self._fills

    def _reverse(self, one: Execution) -> None:
        fill = self.provisional.pop(one.trade_id, None)
        if fill is None:
            return  # it was never told, or it is final
        self.reversed_fills += 1
        self.filled[one.reference] = max(0, self.filled.get(one.reference, 0) - one.lots)
        self.on_reversed(fill)

    def _rules(self, token_id: str) -> TokenRules:
        rules = self.directory.by_token.get(token_id)
        if rules is None:
            raise Unmapped(f"token {token_id[:80]} is not listed")
        return rules

    def _emit(self, event: PrivateEvent) -> None:
        if not self.quiet:
            self._emit_to(event)

    def _next(self, at_ns: int) -> int:
        self._sequence = max(self._sequence + 1, at_ns)
        return self._sequence


def fee_of(rules: TokenRules, price_ticks: int, lots: int, bps: Decimal) -> Decimal:
    """The fee of an execution: on the cheaper side of the contract, in whole micro-units, rounded up. The
    venue tells a rate; what it charges cannot be finer than its collateral.
    """
    cheaper = min(price_ticks, rules.whole_ticks - price_ticks) * rules.instrument.tick
    exact = cheaper * lots * rules.instrument.lot * finite(bps) / BPS
    return exact.quantize(MICRO_UNIT, rounding=ROUND_CEILING)


def _phase(status: str, order_type: str, lots: int, filled: int) -> OrderPhase:
    partly = OrderPhase.PARTIALLY_FILLED if filled else OrderPhase.WORKING
    match status.upper():
        case "LIVE" | "DELAYED" | "UNMATCHED":
            return partly
        case "MATCHED":
            if filled >= lots:
                return OrderPhase.FILLED
            return OrderPhase.CANCELLED if order_type in IMMEDIATE else partly
        case "CANCELED" | "CANCELLED" | "CANCELED_MARKET_RESOLVED":
            return OrderPhase.FILLED if filled >= lots else OrderPhase.CANCELLED
        case "INVALID":
            return OrderPhase.REJECTED
        case _:
            raise Unmapped(f"order status {status[:20]!r}")


def _newer(known: OrderState, state: OrderState) -> bool:
    if state.phase in FINAL_PHASES:
        return True
    return state.filled_lots > known.filled_lots or (
        state.phase is not known.phase and (state.filled_lots >= known.filled_lots)
    )
