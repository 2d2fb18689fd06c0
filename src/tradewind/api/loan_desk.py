"""Leveraged outcome positions over HTTP: open, close, pay back, and what they owe."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Any, Final, Literal

from fastapi import Request as HttpRequest

from tradewind.api.desk_base import Done
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import (
    amount_text,
    parse_amount,
    parse_decimal,
    parse_price,
    parse_size,
    plain_text,
)
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.errors import reject
from tradewind.node.projections.loan_groups import Terms, group_of, groups_of
from tradewind.node.projections.loans import Loan, liquidation_price, maintenance_fraction

MICRO: Final = Decimal(1_000_000)
# P10.2.4: unless the caller allows more, and at most.
DEFAULT_IMPACT_BP: Final = 500
MAX_IMPACT_BP: Final = 2_000
SIDES: Final = {"long": 0, "short": 1}


class OpenLeveraged(Request, kw_only=True):
    """Borrows from the vault to buy an outcome (long) or all others (short), and pledges it.

    `quantity` contracts at `max_price` (short: for one of each other outcome) or better, all or nothing.
    `leverage` in steps of 0.01. From the pool `max_price` includes its fee, and its price moves by at most
    `max_impact_bp` (0: 500; at most 2,000).
    """

    account: str = "trader"
    sub: int = 0
    market: str
    outcome: str | int
    side: Literal["long", "short"] = "long"
    quantity: Number
    leverage: Number
    max_price: Number
    source: Literal["book", "pool"] = "book"
    max_impact_bp: int = 0


class CloseLeveraged(Request, kw_only=True):
    """Sells pledged claims: all, or `quantity`. The debt is paid first.

    Into the pool all or nothing; `limit` is what is left behind its fee.
    """

    account: str = "trader"
    sub: int = 0
    market: str
    outcome: str | int
    side: Literal["long", "short"] = "long"
    quantity: Number | None = None
    limit: Number | None = None
    source: Literal["book", "pool"] = "book"
    max_impact_bp: int = 0


class RepayLoan(Request, kw_only=True):
    """Pays back a part of what a position owes."""

    account: str = "trader"
    sub: int = 0
    market: str
    outcome: str | int
    side: Literal["long", "short"] = "long"
    amount: Number


def leverage_e2(text: Number) -> int:
    """Leverage in hundredths.

    Raises:
        ApiFailure: INVALID_LEVERAGE for what is not positive or no multiple of 0.01.
    """
    hundredths = parse_decimal(text) * 100
    if hundredths != hundredths.to_integral_value() or not 0 < hundredths < 2**32:
        raise failure_of(reject("INVALID_LEVERAGE", bound=100, given=int(min(hundredths, Decimal(2**31)))))
    return int(hundredths)


def pool_impact(one: OpenLeveraged | CloseLeveraged) -> int:
    """By how much the pool's price may move, in basis points of the payout; 0 = the book is asked.

    Raises:
        ApiFailure: PARAMETER_OUT_OF_BOUNDS outside of 0 to 2,000, and for anything but 0 in a book.
    """
    impact, most = one.max_impact_bp, MAX_IMPACT_BP if one.source == "pool" else 0
    if not 0 <= impact <= most:
        raise ApiFailure(
            422,
            "PARAMETER_OUT_OF_BOUNDS",
            f"max_impact_bp in the {one.source} is from 0 to {most}",
            bound=most,
        )
    return impact or DEFAULT_IMPACT_BP if one.source == "pool" else 0


def contract_price(price: Fraction) -> str:
    """A price of one contract as decimal text, rounded up to a millionth: towards earlier liquidation."""
    scaled = Decimal(price.numerator) * MICRO / Decimal(price.denominator)
    return plain_text(scaled.to_integral_value(ROUND_CEILING) / MICRO)


class LoanReads:
    """What the API shows of leveraged outcome positions. It changes nothing."""

    def __init__(self, directory: Directory, now_ns: Callable[[], int]) -> None:
        self._directory, self._now_ns = directory, now_ns

    def of_account(self, name: str) -> dict[str, Any]:
        """Every position of an account with its debt and the price at which it would be sold."""
        account = self._directory.account(name)
        loans = self._directory.views.loans
        rows = [self.row(loan) for loan in loans.of_account(account.account)]
        interest = loans.interest
        return {
            "account": account.account,
            "positions": rows,
            "groups": [self.group(group) for group in groups_of(loans.of_account(account.account))],
            "apr_ppm": None if interest is None else interest.apr_ppm,
            "utilisation_ppm": None if interest is None else interest.utilisation_ppm,
        }

    def group(self, positions: list[Loan]) -> dict[str, Any]:
        """Positions of one sub-account in one market together (P4.6.6); amounts are null without a mark."""
        market, first = self._directory.named(positions[0].market), positions[0]
        entry, loans = market.market, self._directory.views.loans
        terms = Terms(
            entry.outcome_count, entry.payout_ticks, self._now_ns(), entry.settle_time_ns, loans.jump_minimum
        )
        found = group_of(positions, loans.marks, terms)
        amounts = ("largest_loss", "equity", "maintenance", "credit")
        shown = {name: None if found is None else amount_text(getattr(found, name)) for name in amounts}
        return {"symbol": market.symbol, "sub": first.sub, "positions": len(positions)} | shown

    def row(self, loan: Loan) -> dict[str, Any]:
        """A position as the API shows it; its liquidation price is that without its group (P4.6.6)."""
        market = self._directory.named(loan.market)
        entry = market.market
        least = self._directory.views.loans.jump_minimum
        fraction = maintenance_fraction(entry.outcome_count, self._now_ns(), entry.settle_time_ns, least)
        price = liquidation_price(loan, fraction)
        bankruptcy = Fraction(loan.debt, loan.shares) if loan.shares else Fraction(0)
        return {
            "symbol": market.symbol,
            "sub": loan.sub,
            "pledge": loan.pledge,
            "outcome": loan.outcome,
            "name": outcome_name(market, loan.outcome),
            "side": "short" if loan.short else "long",
            "quantity": amount_text(loan.shares),
            "debt": amount_text(loan.debt),
            "bankruptcy_price": contract_price(bankruptcy),
            "liquidation_price": None if price is None or price > 1 else contract_price(price),
            "maintenance_pct": plain_text(round(Decimal(float(fraction * 100)), 4)),
            "liquidations": loan.liquidations,
        }


class LoanDesk:
    """Builds and submits the commands of leveraged outcome positions, signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk, reads: LoanReads) -> None:
        self._desk, self._reads = desk, reads

    async def open(self, one: OpenLeveraged) -> Done:
        """A position, or more of one; `effect` is what it holds and owes."""
        market, place = self._place(one)
        return await self._send(
            "OpenLeveraged",
            one,
            market,
            place,
            lots=parse_size(one.quantity, market.scale),
            max_price=parse_price(one.max_price, market.scale),
            leverage_e2=leverage_e2(one.leverage),
            pool_impact_bp=pool_impact(one),
        )

    async def close(self, one: CloseLeveraged) -> Done:
        """Sells a position or a part of it; `effect.left` is what was not taken."""
        market, place = self._place(one)
        lots = 0 if one.quantity is None else parse_size(one.quantity, market.scale)
        limit = 0 if one.limit is None else parse_price(one.limit, market.scale)
        impact = pool_impact(one)
        done = await self._send(
            "CloseLeveraged", one, market, place, lots=lots, limit=limit, pool_impact_bp=impact
        )
        done.effect["left"] = done.effect["position"]["quantity"] if done.effect["position"] else "0"
        return done

    async def repay(self, one: RepayLoan) -> Done:
        """Lowers a position's debt by money of the account."""
        market, place = self._place(one)
        return await self._send("RepayLoan", one, market, place, amount=parse_amount(one.amount))

    def _place(self, one: OpenLeveraged | CloseLeveraged | RepayLoan) -> tuple[NamedMarket, dict[str, int]]:
        market = self._desk.directory.market(one.market)
        if not market.market.has_outcomes:
            raise ApiFailure(422, "INVALID_MARKET_KIND", f"{market.symbol} has no outcomes")
        return market, {"outcome": outcome_number(market, one.outcome), "side": SIDES[one.side]}

    async def _send(
        self,
        name: str,
        one: OpenLeveraged | CloseLeveraged | RepayLoan,
        market: NamedMarket,
        place: dict[str, int],
        **fields: int,
    ) -> Done:
        owner = self._desk._owner(one.account, one.sub)
        done = await self._desk._send(name, one, None, **owner, market=market.handle, **place, **fields)
        account = self._desk.directory.account(one.account).account
        held, short = place["outcome"], place["side"] == SIDES["short"]
        if short and market.market.outcome_count == 2:
            held, short = 1 - held, False
        loan = self._desk.views.loans.find(account, one.sub, market.handle, held, short)
        done.effect = {"position": None if loan is None else self._reads.row(loan)}
        return done


def loan_commands(desk: LoanDesk) -> list[CommandRoute]:
    """Every command of leveraged outcome positions."""

    async def open_one(_: HttpRequest, body: Any) -> Done:
        return await desk.open(body)

    async def close_one(_: HttpRequest, body: Any) -> Done:
        return await desk.close(body)

    async def repay_one(_: HttpRequest, body: Any) -> Done:
        return await desk.repay(body)

    return [
        CommandRoute("/leveraged/open", OpenLeveraged, open_one, "Open a leveraged outcome position"),
        CommandRoute("/leveraged/close", CloseLeveraged, close_one, "Sell pledged claims"),
        CommandRoute("/leveraged/repay", RepayLoan, repay_one, "Pay back a loan"),
    ]


def loan_reads(reads: LoanReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Every view of leveraged outcome positions."""
    return [
        (
            "/accounts/{name}/leveraged",
            lambda request: reads.of_account(request.path_params["name"]),
            "Leveraged outcome positions",
        )
    ]
