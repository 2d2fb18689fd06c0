"""Round trips by first in, first out, and where the difference between gross and net went. Money is exact.

A trade is what one entry order and one exit order matched: partial fills of the same pair are one trade, so
that slicing an order does not make the sample look larger than it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, localcontext
from typing import Final

import msgspec

from tradewind.trader.ledger import EXACT
from tradewind.venues.market_data import Side

ZERO: Final = Decimal(0)
FEE_STEP: Final = Decimal("1e-12")
"""Fees are split between the parts of a fill in this step; the last part takes the rest."""
ROUNDING: Final = Context(prec=60)


PairKey = tuple[str, str, str, int]
"""Symbol, entry order, exit order, and the sign of what they closed."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One fill, with the outside middle just before it and the one its last decision was made at."""

    at_ns: int
    order: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    maker: bool
    mid: Decimal
    decision_mid: Decimal

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side is Side.BUY else -1


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A finished round trip. Values are quantity times price; `fees` are those of both sides."""

    symbol: str
    long: bool
    entry_order: str
    exit_order: str
    entry_ns: int
    exit_ns: int
    quantity: Decimal
    entry_value: Decimal
    exit_value: Decimal
    fees: Decimal

    @property
    def profit(self) -> Decimal:
        """Before fees."""
        difference = self.exit_value - self.entry_value
        return difference if self.long else -difference

    @property
    def net(self) -> Decimal:
        """After fees."""
        return self.profit - self.fees

    @property
    def holding_ns(self) -> int:
        """From the first entry fill to the last exit fill."""
        return self.exit_ns - self.entry_ns

    @property
    def net_return(self) -> float:
        """Net over the value of the entry, a fraction."""
        return float(self.net / self.entry_value)


class OpenLot(msgspec.Struct, kw_only=True):
    """What is left of an entry fill."""

    order: str
    at_ns: int
    sign: int
    quantity: Decimal
    price: Decimal
    fee: Decimal


class _Pair(msgspec.Struct):
    """A trade under construction."""

    lot: OpenLot
    exit_order: str
    symbol: str
    entry_ns: int
    exit_ns: int
    quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    fees: Decimal = ZERO

    def finished(self) -> Trade:
        return Trade(
            symbol=self.symbol, long=self.lot.sign > 0, entry_order=self.lot.order,
            exit_order=self.exit_order, entry_ns=self.entry_ns, exit_ns=self.exit_ns, quantity=self.quantity,
            entry_value=self.entry_value, exit_value=self.exit_value, fees=self.fees,
        )  # fmt: skip


def round_trips(executions: Iterable[Execution]) -> tuple[list[Trade], dict[str, list[OpenLot]]]:
    """Finished trades in the order of their exits, and the lots that are still open, by symbol.

    Raises `decimal.Inexact` where an amount would have to be rounded.
    """
    pairs: dict[PairKey, _Pair] = {}
    books: dict[str, deque[OpenLot]] = {}
    with localcontext(EXACT):
        for one in executions:
            _match(one, books.setdefault(one.symbol, deque()), pairs)
    trades = sorted((pair.finished() for pair in pairs.values()), key=lambda trade: trade.exit_ns)
    return trades, {symbol: list(lots) for symbol, lots in books.items() if lots}


def _match(fill: Execution, lots: deque[OpenLot], pairs: dict[PairKey, _Pair]) -> None:
    left, fee_left = fill.quantity, fill.fee
    while left and lots and lots[0].sign != fill.sign:
        lot = lots[0]
        part = min(left, lot.quantity)
        entry_fee = _share(lot.fee, part, lot.quantity)
        exit_fee = _share(fee_left, part, left)
        key = (fill.symbol, lot.order, fill.order, lot.sign)
        pair = pairs.get(key)
        if pair is None:
            pair = pairs[key] = _Pair(lot, fill.order, fill.symbol, lot.at_ns, fill.at_ns)
        pair.exit_ns = max(pair.exit_ns, fill.at_ns)
        pair.quantity += part
        pair.entry_value += part * lot.price
        pair.exit_value += part * fill.price
        pair.fees += entry_fee + exit_fee
        lot.quantity -= part
        lot.fee -= entry_fee
        left -= part
        fee_left -= exit_fee
        if not lot.quantity:
            lots.popleft()
    if left:
        lots.append(
            OpenLot(
                order=fill.order,
                at_ns=fill.at_ns,
                sign=fill.sign,
                quantity=left,
                price=fill.price,
                fee=fee_left,
            )
        )


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The part's share of a fee, rounded to `FEE_STEP`; the whole takes all that is left."""
    if part == whole:
        return fee
    with localcontext(ROUNDING):
        return (fee * part / whole).quantize(FEE_STEP)


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """Where the difference between gross and net went, in the quote asset; negative parts were earned.

    `gross`: every fill at the middle at which its order was last decided. `spread`: fill price against the
    middle just before the fill. `slippage` (fills that took) and `adverse_selection` (fills that rested): how
    far the middle moved against the order between decision and fill. `funding` is zero at spot.
    gross - spread - slippage - adverse_selection - fees - funding = net, exactly.
    """

    gross: Decimal
    spread: Decimal
    slippage: Decimal
    adverse_selection: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal

    @property
    def costs(self) -> Decimal:
        """Sum of the parts."""
        return self.spread + self.slippage + self.adverse_selection + self.fees + self.funding


def attribute(executions: Sequence[Execution], marks: Mapping[str, Decimal]) -> Attribution:
    """The cost attribution; open positions are valued at `marks` (quote per base, by symbol).

    Net and gross are each computed from the fills, the parts on their own: that they meet is a test, not a
    definition. Raises `KeyError` when an open position has no mark.
    """
    gross = net = spread = slippage = adverse = fees = ZERO
    held: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for one in executions:
            signed = one.quantity * one.sign
            held[one.symbol] = held.get(one.symbol, ZERO) + signed
            gross -= signed * one.decision_mid
            net -= signed * one.price + one.fee
            spread += signed * (one.price - one.mid)
            moved = signed * (one.mid - one.decision_mid)
            if one.maker:
                adverse += moved
            else:
                slippage += moved
            fees += one.fee
        for symbol, quantity in held.items():
            if quantity:
                gross += quantity * marks[symbol]
                net += quantity * marks[symbol]
    return Attribution(
        gross=gross, spread=spread, slippage=slippage, adverse_selection=adverse, fees=fees, funding=ZERO,
        net=net,
    )  # fmt: skip


def turnover(executions: Iterable[Execution]) -> Decimal:
    """Traded value of both sides, in the quote asset."""
    return sum((one.quantity * one.price for one in executions), ZERO)


def exposure_ns(executions: Sequence[Execution], end_ns: int) -> int:
    """How long any position was open until `end_ns`. Executions are in order of time."""
    held: dict[str, Decimal] = {}
    total, since_ns = 0, None
    for one in executions:
        held[one.symbol] = held.get(one.symbol, ZERO) + one.quantity * one.sign
        is_open = any(held.values())
        if is_open and since_ns is None:
            since_ns = one.at_ns
        elif not is_open and since_ns is not None:
            total += one.at_ns - since_ns
            since_ns = None
    return total + (end_ns - since_ns if since_ns is not None else 0)
