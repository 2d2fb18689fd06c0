"""Verse credits over HTTP: put money aside, lock legs, release them, take back what is available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from fastapi import Request as HttpRequest

from tradewind.api.desk_base import Done
from tradewind.api.directory import Directory
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount, parse_price, parse_size
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import Number, Request
from tradewind.api.resolution import verse_of
from tradewind.api.route import CommandRoute
from tradewind.core.errors import reject
from tradewind.node.projections.credits import Credit

SIDES: Final = {"long": 0, "short": 1}
MODES: Final = {"close": 0, "settle": 1, "hand_over": 2}
MAX_LEGS: Final = 32
LEGS_PER_COMMAND: Final = 3
Fields = dict[str, int]


class CreditLeg(Request, kw_only=True):
    """Claims on an outcome (long), or one on every other outcome of its market (short).

    `price` is the most to pay for a claim, or for one on every other outcome.
    """

    market: str
    outcome: str | int
    side: Literal["long", "short"] = "long"
    quantity: Number
    price: Number


class CreditMoney(Request, kw_only=True):
    """Money into a verse's credit or out of it; without an amount all that is available."""

    account: str = "trader"
    sub: int = 0
    verse: str
    asset: str = "USDC"
    amount: Number | None = None


class LockCredit(Request, kw_only=True):
    """Buys all legs or none. `exclusive`: refused unless they are of one condition."""

    account: str = "trader"
    sub: int = 0
    verse: str
    exclusive: bool = False
    legs: list[CreditLeg]


class ReleaseCredit(Request, kw_only=True):
    """Closes a leg at `price` or better (all without a quantity), settles a final market, hands over."""

    account: str = "trader"
    sub: int = 0
    verse: str
    market: str
    mode: Literal["close", "settle", "hand_over"] = "close"
    outcome: str | int | None = None
    side: Literal["long", "short"] = "long"
    quantity: Number | None = None
    price: Number | None = None


class CreditReads:
    """What the API shows of credits. It changes nothing."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def of_account(self, name: str) -> dict[str, Any]:
        """Every credit of an account with its markets, what they lock and what they hold."""
        account = self._directory.account(name)
        rows = [self.row(credit) for credit in self._directory.views.credits.of_account(account.account)]
        return {"account": account.account, "credits": rows}

    def row(self, credit: Credit) -> dict[str, Any]:
        """A credit as the API shows it."""
        views = self._directory.views
        return {
            "verse": views.verses.by_number[credit.verse].slug,
            "number": credit.sub,
            "asset": views.assets.by_number[credit.asset].symbol,
            "available": amount_text(credit.available),
            "locked": amount_text(credit.locked),
            "total": amount_text(credit.total),
            "staged": len(credit.staged),
            "markets": [self._market(credit, market) for market in sorted(credit.outlays)],
        }

    def _market(self, credit: Credit, handle: int) -> dict[str, Any]:
        market = self._directory.named(handle)
        claims = {
            outcome_name(market, outcome): amount_text(shares)
            for (of, outcome), shares in sorted(credit.claims.items())
            if of == handle
        }
        return {"symbol": market.symbol, "locked": amount_text(credit.outlays[handle]), "claims": claims}


class CreditDesk:
    """Builds and submits the commands of credits, signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk, reads: CreditReads) -> None:
        self._desk, self._reads = desk, reads

    async def deposit(self, one: CreditMoney) -> Done:
        """Puts money aside for a verse."""
        if one.amount is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "a deposit has an amount")
        return await self._money("DepositCredit", one, parse_amount(one.amount))

    async def withdraw(self, one: CreditMoney) -> Done:
        """Takes back what is available."""
        return await self._money("WithdrawCredit", one, 0 if one.amount is None else parse_amount(one.amount))

    async def lock(self, one: LockCredit) -> Done:
        """Buys legs; those that one command does not hold are staged before it."""
        verse = verse_of(self._desk.views, one.verse).verse
        legs = [self._leg(leg) for leg in one.legs]
        if len(legs) > MAX_LEGS:
            raise failure_of(reject("TOO_MANY_POSITIONS", bound=MAX_LEGS, given=len(legs)))
        owner = self._desk._owner(one.account, one.sub)
        staged = max(0, len(legs) - LEGS_PER_COMMAND)
        keyless = LockCredit(account=one.account, sub=one.sub, verse=one.verse, legs=[])
        for start in range(0, staged, LEGS_PER_COMMAND):
            some = legs[start : min(staged, start + LEGS_PER_COMMAND)]
            fields = _legs_of(some) | {"staged": start, "count": len(some), "verse": verse}
            await self._desk._send("StageCredit", keyless, None, **owner, **fields)
        rest = legs[staged:]
        fields = _legs_of(rest) | {"staged": staged, "count": len(rest), "verse": verse}
        done = await self._desk._send(
            "LockCredit", one, None, **owner, **fields, exclusive=int(one.exclusive)
        )
        return self._shown(done, one.account, verse)

    async def release(self, one: ReleaseCredit) -> Done:
        """Closes a leg, settles a final market, or hands claims over that no loss is open for."""
        verse = verse_of(self._desk.views, one.verse).verse
        market = self._desk.directory.market(one.market)
        fields: Fields = {"mode": MODES[one.mode]}
        if one.mode != "settle":
            if one.outcome is None:
                raise ApiFailure(400, "MALFORMED_REQUEST", f"to {one.mode} names an outcome")
            fields["outcome"] = outcome_number(market, one.outcome)
        if one.mode == "close":
            if one.price is None:
                raise ApiFailure(400, "MALFORMED_REQUEST", "closing a leg names the least price")
            fields["side"] = SIDES[one.side]
            fields["price"] = parse_price(one.price, market.scale)
            fields["lots"] = 0 if one.quantity is None else parse_size(one.quantity, market.scale)
        owner = self._desk._owner(one.account, one.sub)
        done = await self._desk._send(
            "ReleaseCredit", one, None, **owner, verse=verse, market=market.handle, **fields
        )
        return self._shown(done, one.account, verse)

    async def _money(self, name: str, one: CreditMoney, amount: int) -> Done:
        verse = verse_of(self._desk.views, one.verse).verse
        asset = self._desk.directory.asset(one.asset).asset
        owner = self._desk._owner(one.account, one.sub)
        done = await self._desk._send(name, one, None, **owner, verse=verse, asset=asset, amount=amount)
        return self._shown(done, one.account, verse)

    def _leg(self, leg: CreditLeg) -> Fields:
        market = self._desk.directory.market(leg.market)
        if not market.market.has_outcomes:
            raise ApiFailure(422, "INVALID_MARKET_KIND", f"{market.symbol} has no outcomes")
        return {
            "market": market.handle,
            "outcome": outcome_number(market, leg.outcome),
            "side": SIDES[leg.side],
            "price": parse_price(leg.price, market.scale),
            "lots": parse_size(leg.quantity, market.scale),
        }

    def _shown(self, done: Done, account: str, verse: int) -> Done:
        handle = self._desk.directory.account(account).account
        credit = self._desk.views.credits.find(handle, verse)
        done.effect = {"credit": None if credit is None else self._reads.row(credit)}
        return done


def _legs_of(legs: list[Fields]) -> Fields:
    """The payload's fields of up to three legs."""
    return {f"{name}_{at}": value for at, leg in enumerate(legs, 1) for name, value in leg.items()}


def credit_commands(desk: CreditDesk) -> list[CommandRoute]:
    """Every command of credits."""

    async def deposit(_: HttpRequest, body: Any) -> Done:
        return await desk.deposit(body)

    async def withdraw(_: HttpRequest, body: Any) -> Done:
        return await desk.withdraw(body)

    async def lock(_: HttpRequest, body: Any) -> Done:
        return await desk.lock(body)

    async def release(_: HttpRequest, body: Any) -> Done:
        return await desk.release(body)

    return [
        CommandRoute("/credits/deposit", CreditMoney, deposit, "Put money aside for a verse"),
        CommandRoute("/credits/withdraw", CreditMoney, withdraw, "Take back what is available"),
        CommandRoute("/credits/lock", LockCredit, lock, "Buy legs that a verse's credit pays"),
        CommandRoute("/credits/release", ReleaseCredit, release, "Close, settle or hand over a leg"),
    ]


def credit_reads(reads: CreditReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Every view of credits."""
    return [
        (
            "/accounts/{name}/credits",
            lambda request: reads.of_account(request.path_params["name"]),
            "Verse credits",
        )
    ]
