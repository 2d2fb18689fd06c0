"""Rows of the venue to our types. A row that says something we do not know is `Unmapped`, never guessed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken.directory import Directory, tradable
from tradewind.venues.kraken.private_messages import ExtendedBalance, OrderRow, TradeRow
from tradewind.venues.kraken.timestamps import decimal_seconds_ns
from tradewind.venues.market_data import FeedError, Instrument, Side
from tradewind.venues.protocol import Balance, OrderPhase, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped, lots_of, ticks_of, working_phase

SIDES = {"buy": Side.BUY, "sell": Side.SELL, "b": Side.BUY, "s": Side.SELL}
REST_PHASES = {
    "pending": OrderPhase.WORKING,
    "open": OrderPhase.WORKING,
    "closed": OrderPhase.FILLED,
    "canceled": OrderPhase.CANCELLED,
    "expired": OrderPhase.EXPIRED,
}
SOCKET_PHASES = {
    "pending_new": OrderPhase.WORKING,
    "new": OrderPhase.WORKING,
    "partially_filled": OrderPhase.PARTIALLY_FILLED,
    "filled": OrderPhase.FILLED,
    "canceled": OrderPhase.CANCELLED,
    "expired": OrderPhase.EXPIRED,
}
LIMIT_PRICE_IN_PRICE = frozenset({"limit", "iceberg"})
LIMIT_PRICE_IN_PRICE2 = frozenset({"stop-loss-limit", "take-profit-limit", "trailing-stop-limit"})
NO_LIMIT_PRICE = frozenset({"market", "stop-loss", "take-profit", "trailing-stop", "settle-position"})
MAX_REASON_CHARS = 100
NS = 1_000_000_000


def seconds_ns(value: Decimal) -> int:
    """A time in seconds, exactly."""
    return decimal_seconds_ns(format(value, "f"))


def side_of(word: str) -> Side:
    """A side. Raises `Unmapped`."""
    side = SIDES.get(word)
    if side is None:
        raise Unmapped(f"side {word[:40]!r}")
    return side


def _limit_ticks(row: OrderRow, instrument: Instrument) -> int:
    kind = row.descr.ordertype
    if kind in LIMIT_PRICE_IN_PRICE:
        return ticks_of(instrument, row.descr.price)
    if kind in LIMIT_PRICE_IN_PRICE2:
        return ticks_of(instrument, row.descr.price2)
    if kind in NO_LIMIT_PRICE:
        return 0
    raise Unmapped(f"order type {kind[:40]!r}")


def order_state(order_id: str, raw: msgspec.Raw, directory: Directory) -> OrderState:
    """One REST order row. Raises `Unmapped` (unknown pair, status, type, off-step number, missing field)."""
    try:
        row = msgspec.json.decode(raw, type=OrderRow)
        instrument = directory.instruments[directory.symbol_of(row.descr.pair)]
    except (*UNREADABLE, FeedError) as error:
        raise Unmapped(f"order {order_id[:40]}: {error}") from error
    phase = REST_PHASES.get(row.status)
    if phase is None:
        raise Unmapped(f"order {order_id[:40]}: status {row.status[:40]!r}")
    filled, lots = lots_of(instrument, row.vol_exec), lots_of(instrument, row.vol)
    if phase is OrderPhase.FILLED and filled < lots:
        phase = OrderPhase.CANCELLED  # closed, but not by fills
    kind = row.descr.ordertype
    ended = row.reason or ""
    return OrderState(
        client_id=row.cl_ord_id or "",
        venue_id=order_id,
        symbol=instrument.symbol,
        side=side_of(row.descr.type),
        phase=working_phase(phase, filled),
        price_ticks=_limit_ticks(row, instrument),
        lots=lots,
        filled_lots=filled,
        reason=(ended if kind == "limit" else f"{kind} {ended}".strip())[:MAX_REASON_CHARS],
        updated_ns=seconds_ns(row.closetm if row.closetm is not None else row.opentm),
    )


def trade_fact(trade_id: str, raw: msgspec.Raw, directory: Directory) -> TradeFact:
    """One row of TradesHistory. Raises `Unmapped`."""
    try:
        row = msgspec.json.decode(raw, type=TradeRow)
        instrument = directory.instruments[directory.symbol_of(row.pair)]
    except (*UNREADABLE, FeedError) as error:
        raise Unmapped(f"trade {trade_id[:40]}: {error}") from error
    if row.maker is None:
        raise Unmapped(f"trade {trade_id[:40]}: neither maker nor taker")
    return TradeFact(
        trade_id=trade_id,
        order_id=row.ordertxid,
        symbol=instrument.symbol,
        side=side_of(row.type),
        price_ticks=ticks_of(instrument, row.price),
        lots=lots_of(instrument, row.vol),
        fee=row.fee,
        fee_asset=instrument.quote,
        maker=row.maker,
        time_ns=seconds_ns(row.time),
    )


def balance_rows(
    rows: dict[str, msgspec.Raw], directory: Directory, as_of_ns: int
) -> tuple[list[Balance], list[str]]:
    """Balances of BalanceEx, and the reasons of the rows that could not be mapped.

    Staked, bonded and other variants are other assets, not money that can be traded: they are left out.
    Two codes of one asset are a contradiction, not a sum.
    """
    found: dict[str, Balance] = {}
    problems: list[str] = []
    for code, raw in rows.items():
        if not tradable(code):
            continue
        try:
            asset = directory.asset_of(code)
            row = msgspec.json.decode(raw, type=ExtendedBalance)
            if asset in found:
                raise Unmapped(f"{asset} appears twice")
            amounts = (row.balance, row.hold_trade)
            if not all(one.is_finite() for one in amounts) or not 0 <= row.hold_trade <= row.balance:
                raise Unmapped(f"balance {row.balance}, hold {row.hold_trade}")
        except (*UNREADABLE, FeedError) as error:
            problems.append(f"{code[:40]}: {error}")
            continue
        found[asset] = Balance(
            asset=asset, free=row.balance - row.hold_trade, held=row.hold_trade, as_of_ns=as_of_ns
        )
    return list(found.values()), problems
