"""Rows of the venue to our types. A row that says something we do not know is `Unmapped`, never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.private_messages import AccountBody, ExecutionReport, OrderRow, TradeRow
from tradewind.venues.binance.wire import MarketWire
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import FeedError, Instrument, Side
from tradewind.venues.protocol import Balance, OrderPhase, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped, lots_of, ticks_of, working_phase

MS = 1_000_000
MAX_REASON_CHARS = 100
CARRIED_TYPE = 1_704_001
"""`strategyType` of an order that continues one which was replaced; `strategyId` is then how many lots were
filled before (numbers below 1,000,000 are the venue's own). So every row about the order tells it, and a
restart loses nothing.
"""
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


def side_of(word: str) -> Side:
    """A side. Raises `Unmapped`."""
    side = SIDES.get(word)
    if side is None:
        raise Unmapped(f"side {word[:40]!r}")
    return side


def phase_of(word: str, filled_lots: int, lots: int, wire: MarketWire) -> OrderPhase:
    """A state of an order. Raises `Unmapped`."""
    phase = wire.phases.get(word)
    if phase is None:
        raise Unmapped(f"order status {word[:40]!r}")
    if phase is OrderPhase.WORKING and 0 < lots <= filled_lots:
        return OrderPhase.FILLED  # what takes a position over has words of its own
    return working_phase(phase, filled_lots)


def limit_of(kind: str, price: Decimal, instrument: Instrument, wire: MarketWire) -> int:
    """The limit in ticks, 0 for a type without one. Raises `Unmapped`."""
    if kind in wire.with_limit:
        return ticks_of(instrument, price)
    if kind in wire.without_limit:
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
    lots = carried + lots_of(instrument, row.origQty)
    phase = phase_of(row.status, filled, lots, directory.wire)
    words = [] if row.type in directory.wire.plain_types else [row.type]
    if row.status not in {"NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED"}:
        words.append(row.status)
    return OrderState(
        client_id=row.origClientOrderId or row.clientOrderId,
        venue_id=str(row.orderId),
        symbol=instrument.symbol,
        side=side_of(row.side),
        phase=phase,
        price_ticks=limit_of(row.type, row.price, instrument, directory.wire),
        lots=lots,
        filled_lots=filled,
        reason=" ".join(words)[:MAX_REASON_CHARS],
        updated_ns=at_ms * MS,
    )


def decoded_state(raw: msgspec.Raw, directory: Directory) -> OrderState:
    """The same of bytes."""
    try:
        return order_state(msgspec.json.decode(raw, type=OrderRow), directory)
    except UNREADABLE as error:
        raise Unmapped(f"order row: {error}"[:MAX_REASON_CHARS]) from error


class Reported(Protocol):
    """What the report of a changed order says on every market, by the venue's letters."""

    s: str
    S: str
    o: str
    q: Decimal
    p: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741 the venue's name
    z: Decimal
    L: Decimal
    T: int
    t: int
    m: bool
    n: Decimal | None
    N: str | None


def report_state(report: ExecutionReport, directory: Directory) -> OrderState:
    """The order behind an `executionReport`. Raises `Unmapped`.

    The report of a cancel has the cancel's own name in `c` and the order's in `C`.
    """
    return reported_state(
        report,
        directory,
        client_id=report.C if report.x == "CANCELED" and report.C else report.c,
        carried=carried_lots(report.j, report.J),
        reason="" if report.r == "NONE" else report.r,
    )


def reported_state(
    report: Reported, directory: Directory, *, client_id: str, carried: int = 0, reason: str = ""
) -> OrderState:
    """The order behind a report of its change. `carried` lots were filled under another number before."""
    instrument, wire = instrument_named(report.s, directory), directory.wire
    if report.x not in wire.execution_types:
        raise Unmapped(f"execution type {report.x[:40]!r}")
    lots, filled = carried + lots_of(instrument, report.q), carried + lots_of(instrument, report.z)
    words = [one for one in ("" if report.o in wire.plain_types else report.o, reason) if one]
    return OrderState(
        client_id=client_id,
        venue_id=str(report.i),
        symbol=instrument.symbol,
        side=side_of(report.S),
        phase=phase_of(report.X, filled, lots, wire),
        price_ticks=limit_of(report.o, report.p, instrument, wire),
        lots=lots,
        filled_lots=filled,
        reason=" ".join(words)[:MAX_REASON_CHARS],
        updated_ns=report.T * MS,
    )


def report_fact(report: Reported, directory: Directory) -> TradeFact | None:
    """The execution that a report tells, None when it tells none. Raises `Unmapped`."""
    if report.x not in directory.wire.executions or report.l == 0:
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
    """One row of the account's executions. Raises `Unmapped`."""
    try:
        row: TradeRow = msgspec.json.decode(raw, type=directory.wire.trade_row)
    except UNREADABLE as error:
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
        amounts = (row.free, row.locked)
        if row.asset in found or not all(one.is_finite() and one >= 0 for one in amounts):
            problems.append(f"{row.asset[:40]}: free {row.free}, locked {row.locked}, or twice")
            continue
        found[row.asset] = Balance(asset=row.asset, free=row.free, held=row.locked, as_of_ns=as_of_ns)
    return list(found.values()), problems
