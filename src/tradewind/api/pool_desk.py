"""Commands of pools of market makers: creation, swaps, liquidity."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import Request as HttpRequest

from tradewind.api.desk import SECOND_NS
from tradewind.api.desk_base import Done
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.pool_reads import PoolReads, Wish, price_text
from tradewind.api.problems import ApiFailure
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.enums import Side
from tradewind.node.projections.pools import KINDS

WHOLE_BP: Final = 10_000


class CreatePool(Request, kw_only=True):
    """A market maker for an outcome market, funded by the account; its kind is the table's unless stated.

    The account's owner is the market's creator, or has the permission to create markets.
    """

    account: str = "operator"
    sub: int = 0
    market: str
    funding: Number
    kind: str | None = None


class SwapPool(Request, kw_only=True):
    """Buys an outcome from the pool or sells it to the pool.

    `amount`: money before the fee for a purchase, shares for a sale; with `exact` the other way round: shares
    to buy, or money that a sale shall bring before the fee. The mandatory limit is `limit` (least to receive
    after the fee, or most to give with it), or `slippage_bp` off what the pool quotes when the request
    arrives.
    """

    account: str = "trader"
    sub: int = 0
    market: str
    outcome: str | int
    side: Literal["buy", "sell"]
    amount: Number
    exact: bool = False
    limit: Number | None = None
    slippage_bp: int | None = None
    max_impact_bp: int = 0
    """Largest change of the price; 0 = 500, at most 2,000."""
    deadline_s: int = 0
    """Seconds from now; 0 = none."""


class AddPoolLiquidity(Request, kw_only=True):
    """At most so much money for a part of everything that the pool has; locked for 24 hours.

    The account is the one that made the pool unless another one is named, as in the requests below.
    """

    account: str = "operator"
    sub: int = 0
    market: str
    amount: Number
    min_shares: Number | None = None


class RemovePoolLiquidity(Request, kw_only=True):
    """Shares of the pool for a part of everything that it has; absent `shares` are all."""

    account: str = "operator"
    sub: int = 0
    market: str
    shares: Number | None = None
    min_money: Number | None = None


class CollectPoolLiquidity(Request, kw_only=True):
    """What time has set free for the account in a dynamic pool."""

    account: str = "operator"
    sub: int = 0
    market: str
    min_money: Number | None = None


def kind_number(name: str | None) -> int:
    """The number of a kind of market makers; 0, the table's choice, without a name.

    Raises:
        ApiFailure: UNKNOWN_POOL_KIND.
    """
    if name is None:
        return 0
    if name not in KINDS[1:]:
        raise ApiFailure(422, "UNKNOWN_POOL_KIND", f"no kind {name!r} of pools", suggestions=list(KINDS[1:]))
    return KINDS.index(name)


class PoolDesk:
    """Builds and submits the commands of pools, signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk, reads: PoolReads) -> None:
        self._desk, self._reads = desk, reads
        self._directory, self._views = desk.directory, desk.views

    async def create(self, one: CreatePool) -> Done:
        """A pool; its effect is what `GET /pools/MARKET` shows."""
        market = self._directory.market(one.market)
        done = await self._desk._send(
            "CreatePool",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            amm_kind=kind_number(one.kind),
            funding=parse_amount(one.funding),
        )
        done.effect = self._reads.pool(market.symbol, one.account)
        return done

    async def swap(self, one: SwapPool) -> Done:
        """A swap; its effect are shares, money and fee."""
        market = self._directory.market(one.market)
        amount = parse_amount(one.amount)
        now_ns = self._desk._desk.node.now_ns()
        if not 0 <= one.deadline_s <= 86_400:
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", "deadline_s must be from 0 to 86400")
        if not 0 <= one.max_impact_bp < 1 << 16:
            raise ApiFailure(
                422, "PARAMETER_OUT_OF_BOUNDS", "max_impact_bp must be from 0 to 2000", bound=2_000
            )
        done = await self._desk._send(
            "SwapAmm",
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            outcome=outcome_number(market, one.outcome),
            side=int(Side.BUY if one.side == "buy" else Side.SELL),
            exact_out=int(one.exact),
            amount=amount,
            limit=self._limit(one),
            deadline_ns=now_ns + one.deadline_s * SECOND_NS if one.deadline_s else 0,
            max_impact_bp=one.max_impact_bp,
        )
        event = self._views.pools.last_swap.get(market.handle)
        if event is not None and event.seq == done.seq:
            buys = one.side == "buy"
            money = event.cost + event.fee if buys else event.cost - event.fee
            done.effect = {
                "outcome": outcome_name(market, event.outcome),
                "shares": amount_text(event.shares),
                "paid" if buys else "received": amount_text(money),
                "fee": amount_text(event.fee),
                "price_before": price_text(event.price_before_ppb),
                "price_after": price_text(event.price_after_ppb),
            }
        return done

    def _limit(self, one: SwapPool) -> int:
        """Micro-units of the limit. Raises `ApiFailure`: MALFORMED_REQUEST, PARAMETER_OUT_OF_BOUNDS."""
        if (one.limit is None) == (one.slippage_bp is None):
            message = "state either `limit` or `slippage_bp`: a swap always has a limit"
            raise ApiFailure(400, "MALFORMED_REQUEST", message)
        if one.limit is not None:
            return parse_amount(one.limit)
        slippage_bp = one.slippage_bp or 0
        if not 0 <= slippage_bp <= WHOLE_BP:
            message = f"slippage_bp must be from 0 to {WHOLE_BP}"
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", message, bound=WHOLE_BP, given=slippage_bp)
        wish = Wish(one.outcome, one.side, one.exact, one.amount, slippage_bp)
        return self._reads.limit_micro(one.market, wish)

    async def add(self, one: AddPoolLiquidity) -> Done:
        """Liquidity for shares of the pool."""
        least = 0 if one.min_shares is None else parse_amount(one.min_shares)
        return await self._liquidity("AddLiquidity", one, parse_amount(one.amount), least)

    async def remove(self, one: RemovePoolLiquidity) -> Done:
        """Shares of the pool for money and claims."""
        least = 0 if one.min_money is None else parse_amount(one.min_money)
        if one.shares is not None:
            return await self._liquidity("RemoveLiquidity", one, parse_amount(one.shares), least)
        owned = self._reads.shares_of(one.market, one.account, one.sub)
        return await self._liquidity("RemoveLiquidity", one, owned, least)

    async def collect(self, one: CollectPoolLiquidity) -> Done:
        """What a dynamic pool has set free."""
        least = 0 if one.min_money is None else parse_amount(one.min_money)
        return await self._liquidity("CollectLiquidity", one, 0, least)

    async def _liquidity(
        self,
        name: str,
        one: AddPoolLiquidity | RemovePoolLiquidity | CollectPoolLiquidity,
        amount: int,
        min_out: int,
    ) -> Done:
        market = self._directory.market(one.market)
        done = await self._desk._send(
            name,
            one,
            None,
            **self._desk._owner(one.account, one.sub),
            market=market.handle,
            amount=amount,
            min_out=min_out,
        )
        event = self._views.pools.last_liquidity.get(market.handle)
        if event is not None and event.seq == done.seq:
            done.effect = {
                "shares": amount_text(event.shares),
                "money": amount_text(event.money),
                "account_shares": amount_text(event.provider_shares),
                "pool_shares": amount_text(event.total_shares),
                "locked_until_ns": event.unlock_ns,
            }
        return done


def pool_commands(desk: PoolDesk) -> list[CommandRoute]:
    """Every command of pools."""

    async def create(_: HttpRequest, body: Any) -> Done:
        return await desk.create(body)

    async def swap(_: HttpRequest, body: Any) -> Done:
        return await desk.swap(body)

    async def add(_: HttpRequest, body: Any) -> Done:
        return await desk.add(body)

    async def remove(_: HttpRequest, body: Any) -> Done:
        return await desk.remove(body)

    async def collect(_: HttpRequest, body: Any) -> Done:
        return await desk.collect(body)

    return [
        CommandRoute("/pools", CreatePool, create, "Create a market maker's pool"),
        CommandRoute("/pools/swap", SwapPool, swap, "Buy from or sell to a pool"),
        CommandRoute("/pools/add", AddPoolLiquidity, add, "Provide liquidity"),
        CommandRoute("/pools/remove", RemovePoolLiquidity, remove, "Take liquidity out"),
        CommandRoute("/pools/collect", CollectPoolLiquidity, collect, "Collect what a dynamic pool set free"),
    ]
