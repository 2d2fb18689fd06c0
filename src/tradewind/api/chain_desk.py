"""Chains over HTTP: quote, open, close, release, and what is open (protocol P15.9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from fastapi import Request as HttpRequest

from tradewind.api.desk_base import Done
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.numbers import amount_text, parse_amount, parse_price, parse_size, plain_text
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import Number, Request
from tradewind.api.route import CommandRoute
from tradewind.core.errors import BY_CODE, reject
from tradewind.node.projections.chains import (
    CROSS_VERSE_FEE_BP,
    FEE_BP,
    FLASH_FEE_BP,
    KINDS,
    OF_MARKETS,
    Chain,
    Step,
    fee_of,
)

MAX_STEPS: Final = 3
SWAPS: Final = frozenset({"pool_buy", "pool_sell"})
ORDERS: Final = frozenset({"book_buy", "book_sell"})
OF_OUTCOMES: Final = SWAPS | ORDERS
IN_CONTRACTS: Final = ORDERS | {"mint_set"}
"""Steps whose amount is a number of contracts."""


class ChainStep(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One step.

    `pool_buy` spends `amount` for at least `limit` shares, with `exact` it buys `amount` shares for at most
    `limit`; `pool_sell` the other way round, before the fee; `add_liquidity` adds `amount` for at least
    `limit` pool shares; `mint_set` mints `amount` contracts; `book_buy` and `book_sell`, only as the last
    step, buy and sell `amount` contracts in the book, all at once, at a price of `limit` or better; `stake`
    stakes `amount` of the token for `lock_days`; `vault_deposit` and `flash_borrow` take an `amount` alone.
    """

    kind: Literal[
        "pool_buy",
        "pool_sell",
        "add_liquidity",
        "vault_deposit",
        "stake",
        "mint_set",
        "book_buy",
        "book_sell",
        "flash_borrow",
    ]
    market: str | None = None
    outcome: str | int | None = None
    amount: Number
    limit: Number | None = None
    exact: bool = False
    lock_days: int = 0


class OpenChain(Request, kw_only=True):
    """One to three steps that are done in this order, all of them or none."""

    account: str = "trader"
    sub: int = 0
    steps: list[ChainStep]


class CloseChain(Request, kw_only=True):
    """Undoes a chain's steps, all of them or none: the last one first, an order in a book behind the others.

    `limits` by step, in the chain's order: least money for shares that are sold or liquidity that is taken
    out, most money for shares that are bought back, the price at least or at most for what an order bought or
    sold; absent or null where a step has no limit. With `release`
    nothing is undone: what the steps hold is the owner's without the chain.
    """

    limits: tuple[Number | None, ...] = ()
    release: bool = False


class QuoteChain(Request, kw_only=True):
    """What opening a chain of these steps costs."""

    steps: list[ChainStep]


class ChainReads:
    """What the API shows of chains. It changes nothing."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def quote(self, steps: Sequence[ChainStep]) -> dict[str, Any]:
        """Base, rate and fee of a chain, before it is accepted (P8.10)."""
        fields = [self.fields(step) for step in counted(steps)]
        verses_of = self._directory.views.verses.of_market
        verses = {verses_of.get(row["market"]) for step, row in zip(steps, fields, strict=True)
                  if step.kind in OF_MARKETS} - {None}  # fmt: skip
        base = sum(self._base(step, row) for step, row in zip(steps, fields, strict=True))
        rate_bp = CROSS_VERSE_FEE_BP if len(verses) > 1 else FEE_BP
        borrowed = [row["amount"] for row in fields if row["kind"] == KINDS["flash_borrow"]]
        return {
            "base": amount_text(base),
            "rate_bp": rate_bp,
            "fee": amount_text(fee_of(base, rate_bp)),
            "flash_principal": amount_text(sum(borrowed)),
            "flash_fee": amount_text(fee_of(sum(borrowed), FLASH_FEE_BP)),
            "verses": len(verses),
        }

    def _base(self, step: ChainStep, row: dict[str, int]) -> int:
        """Micro-units that a step spends at most, or asks at least."""
        if step.kind in SWAPS:
            by_amount = (step.kind == "pool_buy") != step.exact
            return row["amount" if by_amount else "limit"]
        if step.kind == "mint_set":
            return row["amount"] * self._directory.named(row["market"]).market.lot_size
        if step.kind in ORDERS:
            return self._directory.named(row["market"]).scale.notional(row["limit"], row["amount"])
        return row["amount"] if step.kind in ("add_liquidity", "vault_deposit") else 0

    def fields(self, step: ChainStep) -> dict[str, int]:
        """A step as the engine reads it.

        Raises:
            ApiFailure: MALFORMED_REQUEST for what its kind does not know or lacks, and those of names and
                numbers.
        """
        named = step.kind in OF_MARKETS
        wrong = (
            (step.market is not None) != named
            or (step.outcome is not None) != (step.kind in OF_OUTCOMES)
            or (step.limit is not None and not named)
            or (step.kind in OF_OUTCOMES and step.limit is None)
            or (step.kind == "mint_set" and step.limit is not None)
            or (step.exact and step.kind not in SWAPS)
            or (step.lock_days != 0 and step.kind != "stake")
        )
        if wrong:
            bounded = step.kind in OF_OUTCOMES
            needs = "market, outcome and limit" if bounded else "market" if named else "amount"
            raise ApiFailure(400, "MALFORMED_REQUEST", f"a step {step.kind} takes {needs}")
        if not 0 <= step.lock_days < 1 << 16:
            raise failure_of(reject("INVALID_LOCK", given=step.lock_days))
        market = self._directory.market(step.market) if step.market is not None else None
        amount = parse_amount(step.amount)
        if step.kind in IN_CONTRACTS and market is not None:
            amount = parse_size(step.amount, market.scale)
        limit = 0 if step.limit is None else self._limit(step.kind, market, step.limit)
        outcome = 0
        if market is not None and step.outcome is not None:
            outcome = outcome_number(market, step.outcome)
        return {
            "kind": KINDS[step.kind],
            "outcome": outcome,
            "detail": step.lock_days if step.kind == "stake" else int(step.exact),
            "market": 0 if market is None else market.handle,
            "amount": amount,
            "limit": limit,
        }

    def _limit(self, kind: str, market: NamedMarket | None, limit: Number) -> int:
        """Ticks of an order's price, else micro-units."""
        return (
            parse_price(limit, market.scale) if kind in ORDERS and market is not None else parse_amount(limit)
        )

    def limits(self, chain: Chain, limits: Sequence[Number | None]) -> dict[str, int]:
        """The limits of a closing as the engine reads them.

        Raises:
            ApiFailure: CHAIN_STEP_COUNT for more than a chain can have, and those of numbers.
        """
        if len(limits) > MAX_STEPS:
            raise failure_of(reject("CHAIN_STEP_COUNT", bound=MAX_STEPS, given=len(limits)))
        fields = {}
        for place, limit in enumerate(limits):
            if limit is not None:
                step = chain.steps[place] if place < len(chain.steps) else None
                kind = "" if step is None else step.kind
                market = self._directory.named(step.market) if step is not None and kind in ORDERS else None
                fields[f"limit_{place + 1}"] = self._limit(kind, market, limit)
        return fields

    def of_account(self, name: str) -> dict[str, Any]:
        """Open chains of an account."""
        account = self._directory.account(name).account
        rows = [self.row(chain) for chain in self._directory.views.chains.of_account(account)]
        return {"account": account, "chains": rows}

    def chain(self, number: int) -> dict[str, Any]:
        """One chain, open or over lately. Raises `ApiFailure` POSITION_NOT_FOUND."""
        found = self._directory.views.chains.find(number)
        if found is None:
            raise failure_of(reject("POSITION_NOT_FOUND", given=number))
        return self.row(found)

    def row(self, chain: Chain) -> dict[str, Any]:
        """A chain as the API shows it."""
        leverage = chain.exposure * 100 // chain.equity if chain.equity > 0 else 0
        return {
            "chain": chain.number,
            "account": chain.account,
            "sub": chain.sub,
            "state": chain.state,
            "opened_ns": chain.opened_ns,
            "base": amount_text(chain.base),
            "rate_bp": chain.rate_bp,
            "fee": amount_text(chain.fee),
            "verses": chain.verses,
            "effective_leverage": f"{leverage / 100:.2f}",
            "leverage_cap": f"{chain.cap_e2 / 100:.2f}",
            "steps": [self._step(step) for step in chain.steps],
        }

    def _step(self, step: Step) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": step.kind}
        if step.kind in OF_MARKETS:
            market = self._directory.named(step.market)
            row["market"] = market.symbol
            if step.kind in OF_OUTCOMES:
                row["outcome"] = outcome_name(market, step.outcome)
            if step.kind == "mint_set":
                return row | {"sets": amount_text(step.done * market.market.lot_size)}
            if step.kind in ORDERS:
                row["limit"] = plain_text(market.scale.price(step.limit))
                return row | {
                    "amount": plain_text(market.scale.size(step.amount)),
                    "shares": plain_text(market.scale.size(step.done)),
                }
        row["amount"] = amount_text(step.amount)
        if step.kind == "stake":
            return row | {"lot": step.done, "lock_days": step.detail}
        if step.kind == "flash_borrow":
            return row
        return row | {"shares": amount_text(step.done)}


def counted(steps: Sequence[ChainStep]) -> Sequence[ChainStep]:
    """Raises `ApiFailure` CHAIN_STEP_COUNT for none, or more than three."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise failure_of(reject("CHAIN_STEP_COUNT", bound=MAX_STEPS, given=len(steps)))
    return steps


class ChainDesk:
    """Builds and submits the commands of chains, signed by the account's owner."""

    def __init__(self, desk: ExchangeDesk, reads: ChainReads) -> None:
        self._desk, self._reads = desk, reads

    async def open(self, one: OpenChain) -> Done:
        """A chain; `effect` is what its steps did."""
        fields: dict[str, int] = {}
        for place, step in enumerate(counted(one.steps), 1):
            fields |= {f"{name}_{place}": value for name, value in self._reads.fields(step).items()}
        owner = self._desk._owner(one.account, one.sub)
        done = await self._send("OpenChain", one, owner, fields)
        done.effect = self._reads.chain(done.value)
        return done

    async def close(self, number: int, one: CloseChain) -> Done:
        """Undoes a chain, or releases it."""
        chain = self._desk.views.chains.open.get(number)
        if chain is None:
            raise failure_of(reject("POSITION_NOT_FOUND", given=number))
        limits = self._reads.limits(chain, one.limits)
        owner = self._desk._owner(str(chain.account), chain.sub)
        fields = {"chain": number, "release": int(one.release), **limits}
        done = await self._send("CloseChain", one, owner, fields)
        done.effect = self._reads.chain(number)
        return done

    async def _send(self, name: str, one: Request, owner: dict[str, Any], fields: dict[str, int]) -> Done:
        try:
            return await self._desk._send(name, one, None, **owner, **fields)
        except ApiFailure as failure:
            inner = BY_CODE.get(failure.problem.given or 0)
            if failure.problem.name == "CHAIN_STEP_FAILED" and inner is not None:
                failure.problem.codes = [inner.name]
            raise


def chain_commands(desk: ChainDesk, reads: ChainReads) -> list[CommandRoute]:
    """Every command of chains, and their quote."""

    async def open_one(_: HttpRequest, body: Any) -> Done:
        return await desk.open(body)

    async def close_one(request: HttpRequest, body: Any) -> Done:
        return await desk.close(request.path_params["number"], body)

    async def quote(_: HttpRequest, body: Any) -> Any:
        return reads.quote(body.steps)

    return [
        CommandRoute("/chains", OpenChain, open_one, "Do up to three linked steps at once"),
        CommandRoute("/chains/quote", QuoteChain, quote, "What a chain costs"),
        CommandRoute("/chains/{number:int}/close", CloseChain, close_one, "Undo a chain, or release it"),
    ]


def chain_reads(reads: ChainReads) -> list[tuple[str, Callable[[HttpRequest], Any], str]]:
    """Every view of chains."""
    return [
        (
            "/accounts/{name}/chains",
            lambda request: reads.of_account(request.path_params["name"]),
            "Open chains of an account",
        ),
        (
            "/chains/{number:int}",
            lambda request: reads.chain(request.path_params["number"]),
            "One chain",
        ),
    ]
