"""Rows of the venue to our types. A row that says something we do not know is `Unmapped`, never guessed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.encode import CARRIED_TYPE
from tradewind.venues.binance.private_messages import AccountBody, ExecutionReport, OrderRow, TradeRow
from tradewind.venues.market_data import FeedError, Instrument, Side
from tradewind.venues.protocol import Balance, OrderPhase, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped, lots_of, ticks_of, working_phase

MS = 1_000_000
MAX_REASON_CHARS = 100
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
PHASES = {
    "NEW": OrderPhase.WORKING,
    "PENDING_NEW": OrderPhase.WORKING,
    "PENDING_CANCEL": OrderPhase.WORKING,
    "PARTIALLY_FILLED": OrderPhase.PARTIALLY_FILLED,
    "FILLED": OrderPhase.FILLED,
    "CANCELED": OrderPhase.CANCELLED,
    "REJECTED": OrderPhase.REJECTED,
    "EXPIRED": OrderPhase.EXPIRED,
    "EXPIRED_IN_MATCH": OrderPhase.EXPIRED,
}
EXECUTION_TYPES = frozenset(
    {"NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION"}
)
WITH_LIMIT = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
WITHOUT_LIMIT = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
PLAIN_TYPES = frozenset({"LIMIT", "LIMIT_MAKER"})


def side_of(word: str) -> Side:
    """A side. Raises `Unmapped`."""
    side = SIDES.get(word)
    if side is None:
        raise Unmapped(f"side {word[:40]!r}")
    return side


def phase_of(word: str, filled_lots: int) -> OrderPhase:
    """A state of an order. Raises `Unmapped`."""
    phase = PHASES.get(word)
    if phase is None:
        raise Unmapped(f"order status {word[:40]!r}")
    return working_phase(phase, filled_lots)


def limit_of(kind: str, price: Decimal, instrument: Instrument) -> int:
    """The limit in ticks, 0 for a type without one. Raises `Unmapped`."""
    if kind in WITH_LIMIT:
        return ticks_of(instrument, price)
    if kind in WITHOUT_LIMIT:
        return 0
    raise Unmapped(f"order type {kind[:40]!r}")


def carried_lots(strategy_id: int | None, strategy_type: int | None) -> int:
    """What was filled of an order before it was replaced by the one of this row."""
    if strategy_type != CARRIED_TYPE or strategy_id is None:
        return 0
    if strategy_id < 0:
        raise Unmapped(f"strategyId {strategy_id}")
    return strategy_id


def instrument_named(name: str, directory: Directory) -> Instrument:
    """The instrument of a venue's name. Raises `Unmapped`."""
    try:
        return directory.instruments[directory.symbol_of(name)]
    except FeedError as error:
        raise Unmapped(str(error)) from error


def order_state(row: OrderRow, directory: Directory) -> OrderState:
    """An order of REST. What was filled before a replacement counts. Raises `Unmapped`."""
    instrument = instrument_named(row.symbol, directory)
    carried = carried_lots(row.strategyId, row.strategyType)
    filled = carried + lots_of(instrument, row.executedQty)
    at_ms = row.updateTime or row.transactTime or row.time
    if at_ms is None:
        raise Unmapped(f"order {row.orderId} has no time")
    phase = phase_of(row.status, filled)
    words = [] if row.type in PLAIN_TYPES else [row.type]
    if row.status not in {"NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED"}:
        words.append(row.status)
    return OrderState(
        client_id=row.origClientOrderId or row.clientOrderId,
        venue_id=str(row.orderId),
        symbol=instrument.symbol,
        side=side_of(row.side),
        phase=phase,
        price_ticks=limit_of(row.type, row.price, instrument),
        lots=carried + lots_of(instrument, row.origQty),
        filled_lots=filled,
        reason=" ".join(words)[:MAX_REASON_CHARS],
        updated_ns=at_ms * MS,
    )


def decoded_state(raw: msgspec.Raw, directory: Directory) -> OrderState:
    """The same of bytes."""
    try:
        return order_state(msgspec.json.decode(raw, type=OrderRow), directory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unmapped(f"order row: {error}"[:MAX_REASON_CHARS]) from error


def report_state(report: ExecutionReport, directory: Directory) -> OrderState:
    """The order behind an `executionReport`. Raises `Unmapped`.

    The report of a cancel has the cancel's own name in `c` and the order's in `C`.
    """
    instrument = instrument_named(report.s, directory)
    if report.x not in EXECUTION_TYPES:
        raise Unmapped(f"execution type {report.x[:40]!r}")
    carried = carried_lots(report.j, report.J)
    filled = carried + lots_of(instrument, report.z)
    words = [] if report.o in PLAIN_TYPES else [report.o]
    if report.r != "NONE":
        words.append(report.r)
    return OrderState(
        client_id=report.C if report.x == "CANCELED" and report.C else report.c,
        venue_id=str(report.i),
        symbol=instrument.symbol,
        side=side_of(report.S),
        phase=phase_of(report.X, filled),
        price_ticks=limit_of(report.o, report.p, instrument),
        lots=carried + lots_of(instrument, report.q),
        filled_lots=filled,
        reason=" ".join(words)[:MAX_REASON_CHARS],
        updated_ns=report.T * MS,
    )


def report_fact(report: ExecutionReport, directory: Directory) -> TradeFact | None:
    """The execution that a report tells, None when it tells none. Raises `Unmapped`."""
    if report.x != "TRADE" or report.l == 0:
        return None
    instrument = instrument_named(report.s, directory)
    if report.t < 0:
        raise Unmapped(f"execution of order {report.i} has no number")
    fee = report.n or Decimal(0)
    if fee and not report.N:
        raise Unmapped(f"execution {report.t} has a fee in no asset")
    return TradeFact(
        trade_id=str(report.t),
        order_id=str(report.i),
        symbol=instrument.symbol,
        side=side_of(report.S),
        price_ticks=ticks_of(instrument, report.L),
        lots=lots_of(instrument, report.l),
        fee=fee,
        fee_asset=report.N or instrument.quote,
        maker=report.m,
        time_ns=report.T * MS,
    )


def trade_fact(raw: msgspec.Raw, directory: Directory) -> TradeFact:
    """One row of `myTrades`. Raises `Unmapped`."""
    try:
        row = msgspec.json.decode(raw, type=TradeRow)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unmapped(f"trade row: {error}"[:MAX_REASON_CHARS]) from error
    instrument = instrument_named(row.symbol, directory)
    return TradeFact(
        trade_id=str(row.id),
        order_id=str(row.orderId),
        symbol=instrument.symbol,
        side=Side.BUY if row.isBuyer else Side.SELL,
        price_ticks=ticks_of(instrument, row.price),
        lots=lots_of(instrument, row.qty),
        fee=row.commission,
        fee_asset=row.commissionAsset,
        maker=row.isMaker,
        time_ns=row.time * MS,
    )


def balance_rows(body: AccountBody, directory: Directory, as_of_ns: int) -> tuple[list[Balance], list[str]]:
    """Balances of `account`, and the reasons of the rows that make no sense."""
    found: dict[str, Balance] = {}
    problems: list[str] = []
    for row in body.balances:
        if not directory.tradable(row.asset):
            continue
        if row.asset in found or row.free < 0 or row.locked < 0:
            problems.append(f"{row.asset[:40]}: free {row.free}, locked {row.locked}, or twice")
            continue
        found[row.asset] = Balance(asset=row.asset, free=row.free, held=row.locked, as_of_ns=as_of_ns)
    return list(found.values()), problems
