"""Distribution markets: what their pools show, what a trade would cost, and their commands.

Numbers are decimal text in the question's own unit (at most six decimals), money is decimal text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from fastapi import Request as HttpRequest

from tradewind import amm
from tradewind.api.desk import SECOND_NS
from tradewind.api.desk_base import Done
from tradewind.api.directory import NamedMarket
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount, parse_decimal, plain_text
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.api.vault_reads import VaultReads
from tradewind.core import native
from tradewind.core.errors import TradewindError, reject
from tradewind.node.projections.pools import KINDS
from tradewind.node.projections.questions import Claim, Question
from tradewind.node.projections.resolution import WHOLE_PPM

UNIT: Final = 1_000_000
MAX_ROWS: Final = 1_000
MAX_DEADLINE_S: Final = 86_400
RATE: Final = Decimal(100_000_000)
LARGEST: Final = 1 << 52
"""Numbers in their unit times 10⁶ lie within this of 0."""


def _at_risk(one: Question) -> int:
    """What the pool is worth if the number is as the claim says, all of which it can lose (P9.1).

    The pool keeps b − g(o), and the claim g = λ·N pays k²/λ on average.
    """
    if one.value is not None:
        return 0
    norm = one.norm / 1e6
    peak = norm * norm / amm.distribution_lambda(norm, one.claim[1] / 1e6)
    return max(0, one.backing - math.ceil(peak * 1e6))


class CreateDistribution(Request, kw_only=True):
    """The pool of a distribution market: `funding` backs every claim, `norm` is their L2 norm.

    The account's owner is the market's creator, or has the permission to create markets; it receives the
    first claim, with this mean and width, and what is left at the end.
    """

    account: str = "operator"
    sub: int = 0
    market: str
    funding: Number
    norm: Number | None = None
    """Absent: as much as the funding."""
    lower: Number
    upper: Number
    mean: Number
    sigma: Number


class MoveDistribution(Request, kw_only=True):
    """Moves the market's claim to another mean and width; the trader receives the difference.

    The mandatory limit is `max_collateral`, without the fee.
    """

    account: str = "trader"
    sub: int = 0
    market: str
    mean: Number
    sigma: Number
    max_collateral: Number
    deadline_s: int = 0
    """Seconds from now; 0 = none."""


def parse_number(name: str, value: Number) -> int:
    """A number of a question, times 10⁶.

    Raises:
        ApiFailure: NOT_A_NUMBER; INVALID_BOUNDS for more than six decimals or beyond ±4.5 billion.
    """
    scaled = parse_decimal(value) * UNIT
    if scaled != int(scaled) or abs(scaled) > LARGEST:
        raise ApiFailure(422, "INVALID_BOUNDS", f"{name} {value} has more than six decimals or is too large")
    return int(scaled)


def number_text(value: int) -> str:
    """A number of a question as decimal text."""
    return plain_text(Decimal(value).scaleb(-6))


def payout_at(question: Question, value: Number) -> str:
    """The payout vector of a number: how far up it lies, in ppm of the range, clipped to it.

    The exact middle is INVALID's vector and is moved up by one ppm.
    """
    number = min(max(parse_number("value", value), question.lower), question.upper)
    span = question.upper - question.lower
    high = ((number - question.lower) * 2 * WHOLE_PPM + span) // (2 * span)
    if high in (0, WHOLE_PPM):
        return "1" if high == 0 else "0"
    high += 2 * high == WHOLE_PPM
    return f"0={high},1={WHOLE_PPM - high}"


class QuestionDesk:
    """Readings and commands; the latter signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk) -> None:
        self._desk = desk
        self._directory, self._views = desk.directory, desk.views
        self._vault = VaultReads(desk.directory)

    def _found(self, name: str) -> tuple[NamedMarket, Question]:
        market = self._directory.market(name)
        question = self._views.questions.by_market.get(market.handle)
        if question is None:
            raise failure_of(reject("POOL_NOT_FOUND", given=market.handle))
        return market, question

    def _row(self, market: NamedMarket, one: Question) -> dict[str, Any]:
        return {
            "market": market.symbol,
            "status": market.market.status.name.lower(),
            "mean": number_text(one.claim[0]),
            "sigma": number_text(one.claim[1]),
            "lower": number_text(one.lower),
            "upper": number_text(one.upper),
            "norm": amount_text(one.norm),
            "backing": amount_text(one.backing),
            "cash": amount_text(one.cash),
            "subsidy_at_risk": amount_text(_at_risk(one)),
            "moves": one.moves,
            "collateral": amount_text(one.collateral),
            "fees": amount_text(one.fees),
            "value": None if one.value is None else number_text(one.value),
            "paid": amount_text(one.paid),
        }

    def all(self) -> dict[str, Any]:
        """Every distribution market in a row."""
        known = sorted(self._views.questions.by_market.items())[:MAX_ROWS]
        rows = [self._row(self._directory.named(handle), one) for handle, one in known]
        return {"distributions": rows, "as_of_seq": self._views.applied_seq}

    def one(self, name: str, account: str | None) -> dict[str, Any]:
        """One distribution market with the claims on it; of one account when it is named."""
        market, question = self._found(name)
        handle = None if account is None else self._directory.account(account).account
        rows = [
            {
                "account": place[0],
                "sub": place[1],
                "from": None if trade.origin is None else _claim_text(trade.origin),
                "to": _claim_text(trade.to),
                "collateral": amount_text(trade.collateral),
            }
            for place, trades in sorted(question.trades.items())
            if handle in (None, place[0])
            for trade in trades
        ]
        return {
            **self._row(market, question),
            "settle_time_ns": market.market.settle_time_ns,
            "provider_fees": amount_text(question.provider_fees),
            "claims": rows[:MAX_ROWS],
        }

    def quote(self, name: str, mean: Number, sigma: Number) -> dict[str, Any]:
        """What moving the claim there would cost now."""
        market, question = self._found(name)
        to = (parse_number("mean", mean), parse_number("sigma", sigma))
        try:
            quote = native.distribution_quote(
                (question.norm, question.backing, question.lower, question.upper),
                question.claim,
                to,
                self._vault.fee_coverage_ppm(),
                market.market.taker_fee_e6bp,
            )
        except TradewindError as error:
            raise failure_of(error) from error
        return {
            "market": market.symbol,
            "from": _claim_text(question.claim),
            "to": _claim_text(to),
            "collateral": amount_text(quote["collateral"]),
            "fee": amount_text(quote["fee"]),
            "fee_bp": plain_text(Decimal(quote["rate_e8"]) / RATE),
            "pay": amount_text(quote["collateral"] + quote["fee"]),
            "as_of_seq": self._views.applied_seq,
        }

    async def create(self, one: CreateDistribution) -> Done:
        """The pool; its effect is what `GET /distributions/MARKET` shows."""
        market = self._directory.market(one.market)
        funding = parse_amount(one.funding)
        done = await self._desk._send(
            "CreatePool",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            amm_kind=KINDS.index("distribution"),
            funding=funding,
            norm=funding if one.norm is None else parse_amount(one.norm),
            lower=parse_number("lower", one.lower),
            upper=parse_number("upper", one.upper),
            mean=parse_number("mean", one.mean),
            sigma=parse_number("sigma", one.sigma),
        )
        done.effect = self.one(market.symbol, None)
        return done

    async def move(self, one: MoveDistribution) -> Done:
        """A trade; its effect are collateral and fee."""
        market = self._directory.market(one.market)
        if not 0 <= one.deadline_s <= MAX_DEADLINE_S:
            message = f"deadline_s must be from 0 to {MAX_DEADLINE_S}"
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", message)
        now_ns = self._desk._desk.node.now_ns()
        done = await self._desk._send(
            "TradeDistribution",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            mean=parse_number("mean", one.mean),
            sigma=parse_number("sigma", one.sigma),
            max_collateral=parse_amount(one.max_collateral),
            deadline_ns=now_ns + one.deadline_s * SECOND_NS if one.deadline_s else 0,
        )
        event = self._views.questions.last_move.get(market.handle)
        if event is not None and event.seq == done.seq:
            done.effect = {
                "from": _claim_text((event.from_mean, event.from_sigma)),
                "to": _claim_text((event.mean, event.sigma)),
                "collateral": amount_text(event.collateral),
                "fee": amount_text(event.fee),
                "claims": event.claims,
            }
        return done


def _claim_text(claim: Claim) -> str:
    return f"N({number_text(claim[0])}, {number_text(claim[1])}²)"


def question_commands(desk: QuestionDesk) -> list[CommandRoute]:
    """Every command of distribution markets."""
    return [
        CommandRoute(
            "/distributions",
            CreateDistribution,
            lambda _, body: desk.create(body),
            "Create the pool of a distribution market",
        ),
        CommandRoute(
            "/distributions/move",
            MoveDistribution,
            lambda _, body: desk.move(body),
            "Move the claim of a distribution market",
        ),
    ]


def question_reads(desk: QuestionDesk) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Path, handler and summary of every reading."""

    def quote(request: HttpRequest) -> dict[str, Any]:
        given = request.query_params
        missing = [name for name in ("mean", "sigma") if name not in given]
        if missing:
            raise ApiFailure(400, "MALFORMED_REQUEST", f"state {', '.join(missing)}")
        return desk.quote(request.path_params["name"], given["mean"], given["sigma"])

    return [
        ("/distributions", lambda _: desk.all(), "Distribution markets"),
        ("/distributions/{name:path}/quote", quote, "What moving a claim would cost now"),
        (
            "/distributions/{name:path}",
            lambda r: desk.one(r.path_params["name"], r.query_params.get("account")),
            "One distribution market: its claim, cash and traders",
        ),
    ]
