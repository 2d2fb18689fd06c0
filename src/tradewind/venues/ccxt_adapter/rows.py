"""Rows of ccxt in our types. A row that cannot be told makes its list incomplete (`Unmapped`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradewind.venues.ccxt_adapter.directory import Directory, exact
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import Balance, OrderPhase, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped, lots_of, ticks_of, working_phase

MS: Final = 1_000_000
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
PHASES: Final = {
    "open": OrderPhase.WORKING,
    "canceled": OrderPhase.CANCELLED,
    "canceling": OrderPhase.WORKING,
    "expired": OrderPhase.EXPIRED,
    "rejected": OrderPhase.REJECTED,
}
"""ccxt's words besides "closed", which says only that an order is over. Others are no state that we know."""
MAX_BALANCES: Final = 10_000


def text(row: Mapping[str, Any], name: str) -> str:
    """A field that has to be there. Raises `Unmapped`."""
    value = row.get(name)
    if value is None or isinstance(value, float | bool) or not str(value):
        raise Unmapped(f"{name} is {str(value)[:40]!r}")
    return str(value)


def _side(row: Mapping[str, Any]) -> Side:
    side = SIDES.get(str(row.get("side")))
    if side is None:
        raise Unmapped(f"side {str(row.get('side'))[:40]!r}")
    return side


def moment_ns(row: Mapping[str, Any], *names: str) -> int:
    """The first of these times (milliseconds) that is told, in ns. Raises `Unmapped`."""
    for name in names:
        value = row.get(name)
        if value is not None:
            return int(exact(value, name) * MS)
    raise Unmapped(f"no {names[-1]}")


def order_state(row: Mapping[str, Any], directory: Directory) -> OrderState:
    """One order. Raises `Unmapped`, `FloatMoney`."""
    instrument = directory.of_row(row)
    lots = lots_of(instrument, exact(row.get("amount"), "amount"))
    filled = lots_of(instrument, exact(row.get("filled"), "filled"))
    if filled > lots:
        raise Unmapped(f"{filled} of {lots} lots are filled")
    word = str(row.get("status"))
    if word == "closed":
        # ended, but not filled: whatever the venue calls it, the rest of it is gone
        phase = OrderPhase.FILLED if filled == lots else OrderPhase.CANCELLED
    elif word in PHASES:
        phase = working_phase(PHASES[word], filled)
    else:
        raise Unmapped(f"status {word[:40]!r}")
    price = row.get("price")
    return OrderState(
        client_id=str(row.get("clientOrderId") or ""),
        venue_id=text(row, "id"),
        symbol=instrument.symbol,
        side=_side(row),
        phase=phase,
        # an order that somebody else sent without a limit has none
        price_ticks=0 if price is None else ticks_of(instrument, exact(price, "price")),
        lots=lots,
        filled_lots=filled,
        updated_ns=moment_ns(row, "lastUpdateTimestamp", "lastTradeTimestamp", "timestamp"),
    )


def trade_fact(row: Mapping[str, Any], directory: Directory) -> TradeFact:
    """One execution. Raises `Unmapped`, also where fee or liquidity is not told: neither is guessed."""
    instrument = directory.of_row(row)
    fee = row.get("fee")
    if not isinstance(fee, Mapping) or fee.get("cost") is None or fee.get("currency") is None:
        raise Unmapped(f"the fee of execution {str(row.get('id'))[:40]!r} is not told")
    liquidity = row.get("takerOrMaker")
    if liquidity not in {"taker", "maker"}:
        raise Unmapped(f"maker or taker: {str(liquidity)[:40]!r}")
    return TradeFact(
        trade_id=text(row, "id"),
        order_id=text(row, "order"),
        symbol=instrument.symbol,
        side=_side(row),
        price_ticks=ticks_of(instrument, exact(row.get("price"), "price")),
        lots=lots_of(instrument, exact(row.get("amount"), "amount")),
        fee=exact(fee["cost"], "fee"),
        fee_asset=str(fee["currency"]),
        maker=liquidity == "maker",
        time_ns=moment_ns(row, "timestamp"),
    )


def balance_rows(answer: Mapping[str, Any], as_of_ns: int) -> tuple[list[Balance], list[str]]:
    """Balances, and what could not be told of others. ccxt's answer has one entry for each asset beside
    sums.
    """
    totals = answer.get("total")
    if not isinstance(totals, Mapping) or len(totals) > MAX_BALANCES:
        return [], ["the answer has no balances"]
    rows, problems = [], []
    for asset in totals:
        entry = answer.get(asset)
        try:
            if not isinstance(entry, Mapping) or entry.get("free") is None or entry.get("used") is None:
                raise Unmapped("free or held is not told")
            free, held = exact(entry["free"], "free"), exact(entry["used"], "held")
            if free < 0 or held < 0 or exact(entry["total"], "total") != free + held:
                raise Unmapped(f"free {free}, held {held}, total {entry['total']}")
        except Unmapped as error:
            problems.append(f"{str(asset)[:20]}: {error}")
            continue
        rows.append(Balance(asset=str(asset), free=free, held=held, as_of_ns=as_of_ns))
    return rows, problems
