"""What the API tells of pools: prices, reserves, depth, fees, providers; quotes by the engine's pricing."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
from fastapi import Request

from tradewind import amm
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.numbers import amount_text, parse_amount, plain_text
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import Number
from tradewind.api.vault_reads import VaultReads
from tradewind.core import native
from tradewind.core.enums import Line
from tradewind.core.errors import TradewindError, reject
from tradewind.node.projections.claims import POOL
from tradewind.node.projections.pools import DYNAMIC, KINDS, Pool, Provider
from tradewind.observe.shortfall import pool_at_risk

MAX_ROWS: Final = 1_000
LMSR: Final = KINDS.index("lmsr")
DEPTH_STEP: Final = 0.02
"""Change of a probability that `depth` tells the cost of."""
MICRO: Final = 1_000_000
RATE: Final = Decimal(100_000_000)
ASKS: Final = {
    ("buy", False): "spend", ("buy", True): "buy", ("sell", False): "sell", ("sell", True): "earn",
}  # fmt: skip


def price_text(ppb: int) -> str:
    """A price in 1e-9 as decimal text."""
    return plain_text(Decimal(ppb).scaleb(-9))


class Wish(msgspec.Struct, frozen=True):
    """A swap that somebody asks about; as the body of `POST /pools/swap`."""

    outcome: str | int
    side: str
    exact: bool
    amount: Number
    slippage_bp: int


class Held:
    """What a pool has at a moment: a dynamic one as its next touch will find it (P10.4.4)."""

    def __init__(self, pool: Pool, claims: list[int], cash: int, settle_ns: int, now_ns: int) -> None:
        self.cash = cash
        self.liquidity = pool.liquidity
        self.reserves = claims
        self.freed = [0, 0]
        if pool.kind == DYNAMIC:
            self.reserves = [mine - free for mine, free in zip(claims, pool.released, strict=True)]
            if pool.liquidity > 0:
                times = (pool.created_ns, settle_ns, now_ns)
                self.liquidity, self.reserves, self.freed = native.pool_touched(
                    pool.liquidity, pool.base, times, self.reserves
                )


class PoolReads:
    """Plain documents. Money and shares are decimal text, prices between 0 and 1."""

    def __init__(self, directory: Directory, now_ns: Callable[[], int]) -> None:
        self._directory, self._views = directory, directory.views
        self._vault = VaultReads(directory)
        self._now_ns = now_ns

    def _found(self, name: str) -> tuple[NamedMarket, Pool]:
        market = self._directory.market(name)
        pool = self._views.pools.by_market.get(market.handle)
        if pool is None:
            raise failure_of(reject("POOL_NOT_FOUND", given=market.handle))
        return market, pool

    def _held(self, market: NamedMarket, pool: Pool) -> Held:
        count = market.market.outcome_count
        claims = [self._views.claims.holding(POOL, market.handle, one).free for one in range(count)]
        cash = self._views.ledger.system_line(Line.POOL_CASH, market.market.quote, market.handle + 1)
        return Held(pool, claims, cash, market.market.settle_time_ns, self._now_ns())

    def pools(self) -> dict[str, Any]:
        """Every pool in a row."""
        rows = []
        for handle, pool in sorted(self._views.pools.by_market.items())[:MAX_ROWS]:
            market = self._directory.named(handle)
            held = self._held(market, pool)
            prices = self._prices(pool, held)
            rows.append(
                {
                    "market": market.symbol,
                    "kind": KINDS[pool.kind],
                    "outcomes": market.market.outcome_count,
                    "liquidity": amount_text(held.liquidity),
                    "cash": amount_text(held.cash),
                    "subsidy_at_risk": amount_text(pool_at_risk(prices, held.reserves, held.cash)),
                    "prices": None if prices is None else [price_text(one) for one in prices],
                    "swaps": pool.swaps,
                    "volume": amount_text(pool.volume),
                    "fees": amount_text(pool.fees),
                    "providers": len(pool.providers),
                }
            )
        return {"pools": rows, "as_of_seq": self._views.applied_seq}

    def pool(self, name: str, account: str | None) -> dict[str, Any]:
        """One pool with its outcomes and providers; of one account when it is named."""
        market, pool = self._found(name)
        held = self._held(market, pool)
        prices = self._prices(pool, held)
        handle = None if account is None else self._directory.account(account).account
        document: dict[str, Any] = {
            "market": market.symbol,
            "kind": KINDS[pool.kind],
            "chosen": pool.chosen,
            "liquidity": amount_text(held.liquidity),
            "cash": amount_text(held.cash),
            "subsidy_at_risk": amount_text(pool_at_risk(prices, held.reserves, held.cash)),
            "shares": amount_text(pool.shares),
            "swaps": pool.swaps,
            "volume": amount_text(pool.volume),
            "fees": amount_text(pool.fees),
            "provider_fees": amount_text(pool.provider_fees),
            "settle_time_ns": market.market.settle_time_ns,
            "outcomes": [
                {
                    "outcome": outcome,
                    "name": outcome_name(market, outcome),
                    "price": None if prices is None else price_text(prices[outcome]),
                    "reserve": amount_text(held.reserves[outcome]),
                    "depth": None if prices is None else _depth(pool.kind, held, outcome, prices[outcome]),
                }
                for outcome in range(market.market.outcome_count)
            ],
            "providers": [
                self._provider(market, pool, held, place, one)
                for place, one in sorted(pool.providers.items())[:MAX_ROWS]
                if handle in (None, place[0])
            ],
            "as_of_seq": self._views.applied_seq,
        }
        if pool.kind == DYNAMIC:
            document |= {"base_liquidity": amount_text(pool.base), "created_ns": pool.created_ns}
        return document

    def _provider(
        self, market: NamedMarket, pool: Pool, held: Held, place: tuple[int, int], one: Provider
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "account": place[0],
            "sub": place[1],
            "shares": amount_text(one.shares),
            "part": plain_text((Decimal(one.shares) / pool.shares).quantize(Decimal("1e-6"))),
            "locked_until_ns": one.unlock_ns,
            "locked": one.unlock_ns > self._now_ns(),
        }
        if pool.kind == DYNAMIC:
            later = Provider(one.shares, one.unlock_ns, one.entry, one.owed)
            first, second = (
                grown + (freed << 64) // pool.shares
                for grown, freed in zip(pool.growth, held.freed, strict=True)
            )
            later.credit((first, second))
            row["to_collect"] = {
                outcome_name(market, side): amount_text(owed) for side, owed in enumerate(later.owed)
            }
        return row

    @staticmethod
    def _prices(pool: Pool, held: Held) -> list[int] | None:
        """Prices in 1e-9; none once a dynamic pool has no liquidity left."""
        return native.pool_prices(pool.kind, held.liquidity, held.reserves) if held.liquidity else None

    def shares_of(self, name: str, account: str, sub: int) -> int:
        """Micro-shares that a sub-account has in a pool."""
        _, pool = self._found(name)
        one = pool.providers.get((self._directory.account(account).account, sub))
        return 0 if one is None else one.shares

    def _quoted(self, name: str, wish: Wish) -> tuple[NamedMarket, int, dict[str, int]]:
        market, pool = self._found(name)
        held, number = self._held(market, pool), outcome_number(market, wish.outcome)
        if not held.liquidity:
            raise failure_of(reject("INSUFFICIENT_LIQUIDITY"))
        if (wish.side, wish.exact) not in ASKS:
            raise ApiFailure(400, "MALFORMED_REQUEST", f"side {wish.side!r} is neither buy nor sell")
        try:
            quote = native.pool_quote(
                pool.kind,
                held.liquidity,
                held.reserves,
                held.cash,
                number,
                ASKS[wish.side, wish.exact],
                parse_amount(wish.amount),
                self._vault.fee_coverage_ppm(),
                market.market.taker_fee_e6bp,
            )
        except TradewindError as error:
            raise failure_of(error) from error
        return market, number, quote

    def limit_micro(self, name: str, wish: Wish) -> int:
        """The limit that lies `wish.slippage_bp` off what the pool quotes now."""
        _, _, quote = self._quoted(name, wish)
        return _limit_of(quote, wish)

    def quote(self, name: str, wish: Wish) -> dict[str, Any]:
        """What a swap would give now, with the limit that the slippage makes of it."""
        market, number, quote = self._quoted(name, wish)
        side, exact = wish.side, wish.exact
        shares, cost, fee = quote["shares"], quote["cost"], quote["fee"]
        if not shares:
            raise failure_of(reject("BELOW_MINIMUM", bound=1, given=0))
        money = cost + fee if side == "buy" else cost - fee
        impact = quote["price_after_ppb"] - quote["price_before_ppb"]
        return {
            "market": market.symbol,
            "outcome": outcome_name(market, number),
            "side": side,
            "exact": exact,
            "shares": amount_text(shares),
            "pay" if side == "buy" else "receive": amount_text(money),
            "fee": amount_text(fee),
            "fee_bp": plain_text(Decimal(quote["rate_e8"]) / RATE),
            "average_price": plain_text((Decimal(cost) / shares).quantize(Decimal("1e-9"))),
            "price_before": price_text(quote["price_before_ppb"]),
            "price_after": price_text(quote["price_after_ppb"]),
            "impact_bp": plain_text((Decimal(impact) / 100_000).quantize(Decimal("0.01"))),
            "limit": amount_text(_limit_of(quote, wish)),
            "as_of_seq": self._views.applied_seq,
        }


def _limit_of(quote: dict[str, int], wish: Wish) -> int:
    """Least to receive, rounded down but at least 1, or most to give, rounded up."""
    exact, slippage_bp = wish.exact, wish.slippage_bp
    if wish.side == "buy":
        shown = quote["cost"] + quote["fee"] if exact else quote["shares"]
    else:
        shown = quote["shares"] if exact else quote["cost"] - quote["fee"]
    if exact:
        return -(-shown * (10_000 + slippage_bp) // 10_000)
    return max(1, shown * (10_000 - slippage_bp) // 10_000)


def _depth(kind: int, held: Held, outcome: int, price_ppb: int) -> str | None:
    """Money that raises the price of an outcome by 0.02; none where it would reach 1."""
    price, liquidity = price_ppb / 1e9, held.liquidity / MICRO
    if not 0 < price < 1 - DEPTH_STEP:
        return None
    if kind == LMSR:
        money = liquidity * math.log1p(DEPTH_STEP / (1 - price - DEPTH_STEP))
    else:
        # The reserve of the other outcome takes the collateral in.
        money = (
            amm.pm_amm_reserves(liquidity, price + DEPTH_STEP)[1] - amm.pm_amm_reserves(liquidity, price)[1]
        )
    return plain_text(Decimal(money).quantize(Decimal("1e-6")))


def pool_reads(reads: PoolReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Path, handler and summary of every reading."""

    def quote(request: Request) -> dict[str, Any]:
        given = request.query_params
        missing = [name for name in ("outcome", "side", "amount") if name not in given]
        if missing:
            raise ApiFailure(400, "MALFORMED_REQUEST", f"state {', '.join(missing)}")
        slippage = given.get("slippage_bp", "50")
        if not slippage.isdecimal() or int(slippage) > 10_000:
            raise ApiFailure(
                422, "PARAMETER_OUT_OF_BOUNDS", "slippage_bp must be from 0 to 10000", bound=10_000
            )
        if given.get("exact", "false") not in ("true", "false"):
            raise ApiFailure(400, "MALFORMED_REQUEST", "exact must be true or false")
        exact = given.get("exact") == "true"
        wish = Wish(given["outcome"], given["side"], exact, given["amount"], int(slippage))
        return reads.quote(request.path_params["name"], wish)

    return [
        ("/pools", lambda _: reads.pools(), "Pools of market makers"),
        ("/pools/{name:path}/quote", quote, "What a swap would give now"),
        (
            "/pools/{name:path}",
            lambda r: reads.pool(r.path_params["name"], r.query_params.get("account")),
            "One pool: prices, reserves, depth, fees, providers",
        ),
    ]
