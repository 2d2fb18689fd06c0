"""Reconciliation: the trader's ledger and orders against the venue's, to the last micro-unit (T9.5, T7.9)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.paper.accounts import FillTotals
from tradewind.venues.paper.venue import PaperVenue
from tradewind.venues.protocol import Incomplete

from .ledger import Ledger
from .oms import Oms
from .orders import State

ZERO = Decimal(0)
_UNSETTLED = {State.JOURNALED, State.SENT, State.UNKNOWN, State.AMEND_PENDING, State.CANCEL_PENDING}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One value on which ledger and venue disagree."""

    what: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.what}: ours {self.ours}, venue {self.theirs}"


async def reconcile(venue: PaperVenue, ledger: Ledger, oms: Oms) -> list[Difference]:
    """Every difference in balances, open orders, positions and profit. Empty: all equal, exactly.

    Call it with nothing in flight (no report under way), else what is in flight shows as a difference.
    """
    differences = await _balances(venue, ledger)
    differences += await _orders(venue, oms)
    differences += _positions(venue, ledger)
    differences += _fills(venue, ledger)
    return differences


async def _balances(venue: PaperVenue, ledger: Ledger) -> list[Difference]:
    balances = await venue.balances()
    if isinstance(balances, Incomplete):
        return [Difference(what="balances", ours="complete", theirs=balances.reason)]
    theirs = {balance.asset: balance.total for balance in balances}
    return [
        Difference(what=f"total {asset}", ours=str(ledger.total(asset)), theirs=str(theirs.get(asset, ZERO)))
        for asset in sorted({*theirs, *ledger.assets()})
        if ledger.total(asset) != theirs.get(asset, ZERO)
    ]


async def _orders(venue: PaperVenue, oms: Oms) -> list[Difference]:
    theirs = {order.client_id: order for order in await venue.open_orders(None)}
    ours = {order.client_id: order for order in oms.working()}
    differences = []
    for client_id in sorted({*theirs, *ours}):
        mine, other = ours.get(client_id), theirs.get(client_id)
        if mine is None and other is not None:
            differences.append(Difference(what=f"order {client_id}", ours="none", theirs=str(other.phase)))
        elif other is None and mine is not None and mine.state not in {State.JOURNALED, State.SENT}:
            differences.append(Difference(what=f"order {client_id}", ours=str(mine.state), theirs="none"))
        elif mine is not None and other is not None and mine.state not in _UNSETTLED:
            here = (mine.price_ticks, mine.lots, mine.filled_lots)
            there = (other.price_ticks, other.lots, other.filled_lots)
            if here != there:
                differences.append(Difference(what=f"order {client_id}", ours=str(here), theirs=str(there)))
    return differences


def _positions(venue: PaperVenue, ledger: Ledger) -> list[Difference]:
    """Lots, base balance and the cash identity: funds + realised - cost of open lots - fees = quote
    balance.
    """
    differences = []
    spent: dict[str, Decimal] = {}
    for position in ledger.positions.values():
        held = ledger.total(position.base)
        if position.quantity != held:
            differences.append(
                Difference(what=f"position {position.symbol}", ours=str(position.quantity), theirs=str(held))
            )
        fees = position.fees.get(position.quote, ZERO)
        spent[position.quote] = spent.get(position.quote, ZERO) + position.cost + fees - position.realised
    for quote, amount in spent.items():
        funded = -ledger.balance(quote, "external")
        if funded - amount != ledger.total(quote):
            differences.append(
                Difference(
                    what=f"profit in {quote}", ours=str(funded - amount), theirs=str(ledger.total(quote))
                )
            )
    return differences


def _fills(venue: PaperVenue, ledger: Ledger) -> list[Difference]:
    """Number, turnover and fees of all executions that the venue has counted."""
    differences = []
    for position in ledger.positions.values():
        instrument = venue.markets[position.symbol].setup.instrument
        totals = venue.account.totals.get(position.symbol, FillTotals())
        pairs = (
            ("fills", Decimal(position.fill_count), Decimal(totals.count)),
            ("turnover", position.volume_quote, instrument.tick * instrument.lot * totals.value),
            ("fees", position.fees.get(position.quote, ZERO), totals.fees),
        )
        differences += [
            Difference(what=f"{name} {position.symbol}", ours=str(ours), theirs=str(theirs))
            for name, ours, theirs in pairs
            if ours != theirs
        ]
    return differences
