"""The dark midpoint cross over HTTP: owners' commands, what they see of their own, the public's prints."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from fastapi import Request as HttpRequest

from tradewind.api.desk_base import Done
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_price, parse_size, plain_text
from tradewind.api.problems import ApiFailure
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.enums import Side
from tradewind.node.projections.dark import DarkFill, DarkOrder

MAX_ROWS: Final = 1_000
SELF_TRADE: Final = {"cancel_newest": 0, "cancel_oldest": 1}


class PlaceDark(Request, kw_only=True):
    """Rests unseen until the middle of the lit book is no worse than `price`; at least 10,000 in money.

    `min_quantity` is the least of one cross. Claims are named by their outcome; of two outcomes there is one
    book, in prices of outcome 0.
    """

    account: str
    sub: int = 0
    market: str
    outcome: int = 0
    side: str
    quantity: Number
    price: Number
    min_quantity: Number | None = None
    self_trade_prevention: str = "cancel_newest"


class CancelDark(Request, kw_only=True):
    """Takes a dark order out."""

    account: str
    order: int


class DarkReads:
    """Plain documents; money and quantities are decimal text."""

    def __init__(self, directory: Directory) -> None:
        self._directory, self._views = directory, directory.views

    def own(self, account: str) -> dict[str, Any]:
        """Resting orders and last fills of one account: at once, and of nobody else."""
        handle = self._directory.account(account).account
        dark = self._views.dark
        fills = list(dark.fills.get(handle, ()))[-MAX_ROWS:]
        return {
            "account": account,
            "orders": [self._order(one) for one in dark.of_account(handle)],
            "fills": [self._fill(one) for one in reversed(fills)],
        }

    def order(self, number: int) -> dict[str, Any] | None:
        """A resting order; None once it is filled or gone."""
        found = self._views.dark.orders.get(number)
        return None if found is None else self._order(found)

    def _order(self, one: DarkOrder) -> dict[str, Any]:
        market = self._directory.named(one.market)
        return {
            "order": one.order,
            "market": market.symbol,
            "outcome": one.outcome,
            "side": Side(one.side).name.lower(),
            "quantity": plain_text(market.scale.size(one.lots)),
            "filled": plain_text(market.scale.size(one.filled)),
            "min_quantity": plain_text(market.scale.size(one.min_lots)),
            "price": plain_text(market.scale.price(one.limit)),
        }

    def _fill(self, one: DarkFill) -> dict[str, Any]:
        market = self._directory.named(one.market)
        return {
            "order": one.order,
            "market": market.symbol,
            "outcome": one.outcome,
            "side": Side(one.side).name.lower(),
            "quantity": plain_text(market.scale.size(one.lots)),
            "price": _midpoint(market, one.midpoint),
            "money": amount_text(one.money),
            "fee": amount_text(one.fee),
            "time_ns": one.time_ns,
        }

    def public(self) -> dict[str, Any]:
        """Which markets cross, how often, and the crosses of more than a minute ago."""
        dark = self._views.dark
        prints = [one for rows in dark.prints.values() for one in rows]
        prints.sort(key=lambda one: one.crossed_ns, reverse=True)
        return {
            "interval_ms": dark.interval_ms,
            "markets": [self._directory.named(one).symbol for one in sorted(dark.places.values())],
            "prints": [
                {
                    "market": self._directory.named(one.market).symbol,
                    "outcome": one.outcome,
                    "price": _midpoint(self._directory.named(one.market), one.midpoint),
                    "quantity": plain_text(self._directory.named(one.market).scale.size(one.lots)),
                    "crossed_ns": one.crossed_ns,
                }
                for one in prints[:MAX_ROWS]
            ],
        }


def _midpoint(market: NamedMarket, half_ticks: int) -> str:
    """A price between two ticks as decimal text."""
    return plain_text(Decimal(market.scale.price(half_ticks)) / 2)


class DarkDesk:
    """Builds and submits the commands, signed by the account's owner, who needs the role DARK_TRADER."""

    def __init__(self, desk: ExchangeDesk, reads: DarkReads) -> None:
        self._desk, self._reads = desk, reads
        self._directory = desk.directory

    async def place(self, one: PlaceDark) -> Done:
        """An order into the dark; its effect is the order as it rests."""
        market = self._directory.market(one.market)
        if one.side not in ("buy", "sell"):
            raise ApiFailure(400, "MALFORMED_REQUEST", f"side {one.side!r} is neither buy nor sell")
        if one.self_trade_prevention not in SELF_TRADE:
            raise ApiFailure(
                422, "INVALID_ORDER_TYPE", f"self_trade_prevention is one of {', '.join(SELF_TRADE)}"
            )
        least = 0 if one.min_quantity is None else parse_size(one.min_quantity, market.scale)
        done = await self._desk._send(
            "PlaceDark",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            outcome=one.outcome,
            side=int(Side[one.side.upper()]),
            self_trade_prevention=SELF_TRADE[one.self_trade_prevention],
            lots=parse_size(one.quantity, market.scale),
            min_lots=least,
            limit=parse_price(one.price, market.scale),
        )
        done.effect = self._reads.order(done.value) or {}
        return done

    async def cancel(self, one: CancelDark) -> Done:
        """Takes an order of the account out."""
        return await self._desk._send(
            "CancelDark", one, None, **self._desk._owner(one.account), order=one.order
        )


def dark_commands(desk: DarkDesk) -> list[CommandRoute]:
    """Both commands."""

    async def place(_: HttpRequest, body: Any) -> Done:
        return await desk.place(body)

    async def cancel(_: HttpRequest, body: Any) -> Done:
        return await desk.cancel(body)

    return [
        CommandRoute("/dark/orders", PlaceDark, place, "Place an order that rests unseen"),
        CommandRoute("/dark/orders/cancel", CancelDark, cancel, "Cancel a dark order"),
    ]


def dark_reads(reads: DarkReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Path, handler and summary of every reading."""

    def own(request: HttpRequest) -> dict[str, Any]:
        account = request.query_params.get("account")
        if account is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state account")
        return reads.own(account)

    return [
        ("/dark", lambda _: reads.public(), "Markets that cross at the midpoint, and prints a minute later"),
        ("/dark/orders", own, "Own dark orders and fills; for those who may trade"),
    ]
