"""Markets that accounts list themselves over HTTP (protocol row 0101, P15.4)."""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal

from fastapi import Request as HttpRequest

from tradewind.api import requests as req
from tradewind.api.desk import Desk
from tradewind.api.desk_base import Done
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.enums import MarketKind

DEFAULT_BOND: Final = "100"


class ListMarket(Request, kw_only=True):
    """An outcome market that the account lists itself, if governance allows it (parameter 140).

    It puts up a listing bond of the quote asset; `bond` is the most that may be taken. Fees, band and sizes
    are the platform's: the elastic fee of at most 28 bp.
    """

    account: str
    sub: int = 0
    kind: Literal["outcome", "distribution"] = "outcome"
    outcomes: int | None = None
    settle: str
    quote: str
    tick_size: Number = "0.001"
    lot_size: Number = "0.001"
    bond: Number = DEFAULT_BOND
    nonce: int | None = None


class ListingDesk:
    """Commands about listings; one record in the log each."""

    def __init__(self, desk: ExchangeDesk) -> None:
        self._desk = desk
        self._directory, self._views = desk.directory, desk.views

    async def list_market(self, one: ListMarket) -> Done:
        """A market with the account's bond behind it; its owner. `effect.bond` is what was taken."""
        market = req.CreateMarket(
            kind=one.kind, outcomes=one.outcomes, settle=one.settle, quote=one.quote,
            tick_size=one.tick_size, lot_size=one.lot_size, taker_fee_bps="0", maker_fee_bps="0",
        )  # fmt: skip
        outcomes, settle_ns = Desk._outcomes_of(market)
        tick, lot = parse_amount(one.tick_size), parse_amount(one.lot_size)
        Desk._check_grid(tick, lot)
        done = await self._desk._send(
            "ListMarket",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            nonce=secrets.randbits(63) if one.nonce is None else one.nonce,
            market_kind=int(MarketKind[one.kind.upper()]),
            outcome_count=outcomes,
            quote=self._directory.asset(one.quote).asset,
            tick_size=tick,
            lot_size=lot,
            settle_time_ns=settle_ns,
            bond=parse_amount(one.bond),
        )
        listing = self._views.resolutions.listings[done.value]
        done.effect = {
            "symbol": self._directory.named(done.value).symbol,
            "bond": amount_text(listing.bond),
            "reward": amount_text(listing.reward),
        }
        return done


def listing_commands(desk: ListingDesk) -> list[CommandRoute]:
    """Every command about listings."""

    def act(_: HttpRequest, body: Any) -> Any:
        return desk.list_market(body)

    return [CommandRoute("/listings", ListMarket, act, "List an outcome market with a bond")]
