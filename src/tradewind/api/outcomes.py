"""Outcome markets over HTTP: complete sets, claims, and how people name an outcome."""

from __future__ import annotations

import functools
from typing import Any

from tradewind.api.desk import Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.numbers import parse_size, plain_text
from tradewind.api.outcome_names import outcome_name
from tradewind.api.requests import Number, Request
from tradewind.core import commands as build
from tradewind.core.enums import Side
from tradewind.core.units import from_micros
from tradewind.node.projections.book import Book
from tradewind.node.projections.claims import Holding


class ChangeSets(Request, kw_only=True):
    """`quantity` complete sets: each costs, and gives back, one unit of the market's quote asset."""

    account: str = "trader"
    sub: int = 0
    market: str
    quantity: Number


class OutcomeDesk:
    """Builds and submits the commands of complete sets."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def mint(self, one: ChangeSets) -> Done:
        """Pays for complete sets and receives one claim on every outcome."""
        return await self._change("MintSet", one)

    async def merge(self, one: ChangeSets) -> Done:
        """Gives complete sets back for the money that backs them."""
        return await self._change("MergeSet", one)

    async def _change(self, name: str, one: ChangeSets) -> Done:
        market = self._desk.directory.market(one.market)
        account = self._desk.account(one.account)
        done = await self._desk._send(
            name,
            functools.partial(build.build, name),
            principal=account.owner_key,
            account=account.account_id,
            sub=one.sub,
            client_key=client_key(one),
            market=market.handle,
            lots=parse_size(one.quantity, market.scale),
        )
        claims = self._desk.views.claims
        held = [claims.holding(account.account, market.handle, outcome, one.sub)
                for outcome in range(market.market.outcome_count)]  # fmt: skip
        done.effect = {"claims": [claim_row(market, row) for row in held]}
        return done


def claim_row(market: NamedMarket, one: Holding) -> dict[str, Any]:
    """A holding as the API shows it: whole contracts as decimal text."""
    return {
        "symbol": market.symbol,
        "sub": one.sub,
        "outcome": one.outcome,
        "name": outcome_name(market, one.outcome),
        "free": plain_text(from_micros(one.free)),
        "held": plain_text(from_micros(one.held)),
    }


class OutcomeReads:
    """What the API shows of claims and of the books of outcomes."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._views = directory.views

    def claims(self, name: str, market: str | None) -> dict[str, Any]:
        """Claims of an account, of one market or of all."""
        account = self._directory.account(name)
        handle = None if market is None else self._directory.market(market).handle
        rows = [
            claim_row(self._directory.named(one.market), one)
            for one in self._views.claims.of_account(account.account, handle)
        ]
        return {"account": account.account, "claims": rows, "as_of_seq": self._views.applied_seq}

    def facts(self, named: NamedMarket) -> dict[str, Any]:
        """Outcomes, sets and settlement of an outcome market; nothing for other markets."""
        one = named.market
        if not one.has_outcomes:
            return {}
        return {
            "outcomes": [self._outcome_row(named, outcome) for outcome in range(one.outcome_count)],
            "sets": plain_text(from_micros(self._views.claims.sets(one.market))),
            "settle_time_ns": one.settle_time_ns,
        }

    def _outcome_row(self, named: NamedMarket, outcome: int) -> dict[str, Any]:
        bid, ask = self.best(named, outcome)
        price = named.scale.price
        return {
            "outcome": outcome,
            "name": outcome_name(named, outcome),
            "best_bid": None if bid is None else plain_text(price(bid)),
            "best_ask": None if ask is None else plain_text(price(ask)),
        }

    def best(self, named: NamedMarket, outcome: int) -> tuple[int | None, int | None]:
        """Best bid and ask of an outcome in its own prices."""
        book = self.book_of(named, outcome)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        if not named.market.flips(outcome):
            return bid, ask
        ticks = named.market.payout_ticks
        return None if ask is None else ticks - ask, None if bid is None else ticks - bid

    def book_of(self, named: NamedMarket, outcome: int) -> Book:
        """The book on which an outcome trades; a binary market has one, in prices of outcome 0."""
        return self._views.books.book(named.handle, 0 if named.market.flips(outcome) else outcome)
