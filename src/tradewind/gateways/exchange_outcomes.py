"""Outcome markets of an exchange: the engine's binary markets as pairs of tokens, with USDC as collateral.

    exchange = await Exchange.open(path, ExchangeConfiguration(accounts={"alice": {"USDC": Decimal(1000)}}))
    outcomes = await OutcomeExchange.open(exchange, OutcomeConfiguration())
    book = outcomes.book(outcomes.tokens[token_id])

It lies beside `Exchange` on the same node, with views of its own: spot gateways neither see nor carry it.
Buying one token at p and the other at 1 - p mints a set, two sales merge one; the engine matches both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.core import commands as build
from tradewind.core.enums import ALL_MARKETS, MarketKind, OrderFlag
from tradewind.core.enums import Side as EngineSide
from tradewind.core.enums import TimeInForce as EngineTimeInForce
from tradewind.core.native import derive_account_id
from tradewind.core.units import to_micros
from tradewind.venues.market_data import Side
from tradewind.venues.paper.schedule import fee_e6bp
from tradewind.venues.paper.setup import market_nonce
from tradewind.venues.protocol import VenueState

from . import exchange_checks as checks
from .exchange import Exchange
from .exchange_setup import (
    ENGINE_MAX_NOTIONAL_MICRO,
    ENGINE_MIN_NOTIONAL_MICRO,
    MICRO,
    SLIPPAGE_BP,
    SetupRefused,
)
from .model import Refusal, Refused
from .outcome_model import (
    ListedOutcome,
    OutcomeMarket,
    OutcomeNews,
    OutcomeOrder,
    OutcomeRequest,
    OutcomeTrade,
    Shares,
    Token,
    TokenBook,
    TokenChange,
)
from .outcome_views import Hearers, OutcomeViews, outcome_note, shares

COLLATERAL: Final = "USDC"
VIEWS: Final = "outcomes"
BAND_BP: Final = 5_000
"""Orders further than 0.50 from the reference are refused by the engine."""
SETTLE_NS: Final = 180 * 86_400 * 10**9
TIMES: Final = {
    "GTC": EngineTimeInForce.GTC,
    "GTD": EngineTimeInForce.GTD,
    "FOK": EngineTimeInForce.FOK,
    "FAK": EngineTimeInForce.IOC,
}
DEFAULT_OUTCOMES: Final = (
    OutcomeMarket(slug="rain-tomorrow", question="Does it rain tomorrow?"),
    OutcomeMarket(
        slug="record-year", question="Is this year the warmest?", tick=Decimal("0.001"), neg_risk=True
    ),
)


class OutcomeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Markets, sets that accounts are given at the start, and bounds of what is kept for reading."""

    markets: tuple[OutcomeMarket, ...] = DEFAULT_OUTCOMES
    grant: Decimal = Decimal(0)
    """USDC that every account of the exchange is credited once."""
    sets: Decimal = Decimal(0)
    """Complete sets of every market that every account of the exchange mints once, from its own USDC."""
    ended_orders_kept: int = 100_000
    trades_kept: int = 10_000

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: a slug is taken twice, or there is no market.
        """
        slugs = [one.slug for one in self.markets]
        if not slugs or len(set(slugs)) != len(slugs):
            raise ValueError(f"outcome markets must be named and distinct: {slugs}")


class OutcomeExchange:
    """Made by `open`; belongs to the loop of its exchange and ends with it."""

    def __init__(self, exchange: Exchange, configuration: OutcomeConfiguration, views: OutcomeViews) -> None:
        self.exchange = exchange
        self.configuration = configuration
        self.views = views
        self.markets: dict[str, ListedOutcome] = {}
        """By condition id."""
        self.tokens: dict[str, Token] = {}
        self._in_flight: set[str] = set()
        self._collateral = 0

    @classmethod
    async def open(
        cls, exchange: Exchange, configuration: OutcomeConfiguration | None = None
    ) -> OutcomeExchange:
        """Creates what is missing on the exchange's node, or finds it again.

        Raises:
            SetupRefused: the engine refused a step. NodeStopped: the node failed.
        """
        configuration = configuration or OutcomeConfiguration()
        views = OutcomeViews(
            exchange.views.markets, configuration.ended_orders_kept, configuration.trades_kept
        )
        self = cls(exchange, configuration, views)
        await self._set_up()
        views.accounts.update({handle: name for name, handle in exchange.listed.accounts.items()})
        views.on_account.update({name: Hearers() for name in exchange.listed.accounts})
        await exchange.node.attach(views.apply, name=VIEWS)
        if configuration.sets:
            for account in exchange.configuration.accounts:
                for market in self.markets.values():
                    await self._endow(account, market)
        return self

    def close(self) -> None:
        """Its views hear nothing more. The exchange stays open; may be called twice."""
        self.exchange.node.detach(VIEWS)

    async def _set_up(self) -> None:
        known = self.exchange.views.assets.by_symbol.get(COLLATERAL)
        operator = self.exchange.parties.key("operator")
        self._collateral = (
            known.asset
            if known is not None
            else await self._run(
                build.register_asset(
                    principal=operator, client_key=_key(f"asset/{COLLATERAL}"), symbol=COLLATERAL
                )
            )
        )
        if self.configuration.grant:
            for account in self.exchange.configuration.accounts:
                await self._grant(account)
        for one in self.configuration.markets:
            self._list(one, self._known(one) or await self._create(one))

    def _list(self, rules: OutcomeMarket, handle: int) -> None:
        created = self.exchange.views.markets.by_handle[handle]
        market = ListedOutcome(
            handle=handle,
            rules=rules,
            condition_id=rules.condition_id,
            settle_ns=created.settle_time_ns,
        )
        market.tokens = tuple(
            Token(token_id=rules.token_id(place), outcome=place, name=name, market=market)
            for place, name in enumerate(rules.outcomes)
        )
        self.markets[market.condition_id] = market
        self.tokens.update({token.token_id: token for token in market.tokens})
        self.views.listed[handle] = market

    def _known(self, rules: OutcomeMarket) -> int:
        nonce = market_nonce(f"outcome/{rules.slug}")
        for handle, market in self.exchange.views.markets.by_handle.items():
            if market.kind is MarketKind.OUTCOME and market.nonce == nonce:
                return handle
        return 0

    async def _create(self, rules: OutcomeMarket) -> int:
        operator = self.exchange.parties.key("operator")
        return await self._run(
            build.create_market(
                principal=operator,
                account=derive_account_id(operator),
                client_key=_key(f"outcome/{rules.slug}"),
                nonce=market_nonce(f"outcome/{rules.slug}"),
                market_kind=int(MarketKind.OUTCOME),
                outcome_count=2,
                base=self._collateral,
                quote=self._collateral,
                tick_size=int(rules.tick * MICRO),
                lot_size=int(rules.lot * MICRO),
                settle_time_ns=rules.settle_ns or self.exchange.now_ns() + SETTLE_NS,
                band_bp=BAND_BP,
                slippage_bp=SLIPPAGE_BP,
                taker_fee_e6bp=fee_e6bp(rules.taker_bps),
                maker_fee_e6bp=fee_e6bp(rules.maker_bps),
                min_notional=ENGINE_MIN_NOTIONAL_MICRO,
                max_notional=ENGINE_MAX_NOTIONAL_MICRO,
            )
        )

    async def _grant(self, account: str) -> None:
        parties = self.exchange.parties
        command = build.deposit(
            principal=parties.key("system"),
            account=derive_account_id(parties.key(account)),
            asset=self._collateral,
            amount=to_micros(self.configuration.grant),
            external_id=hashlib.blake2b(f"grant/{account}".encode(), digest_size=32).digest(),
        )
        await self._run(command, "DUPLICATE_DEPOSIT")

    async def _run(self, command: bytes, *done_already: str) -> int:
        [result] = await self.exchange.node.submit([command])
        if not result.accepted and result.name not in done_already:
            raise SetupRefused(f"{result.name}: {result.message}")
        return result.value

    async def _endow(self, account: str, market: ListedOutcome) -> None:
        handle = self.exchange.listed.accounts[account]
        if self.views.claims.of_account(handle, market.handle) or account in self.views.trades:
            return
        done = await self.mint(account, market, self.configuration.sets)
        if isinstance(done, Refused):
            raise SetupRefused(f"{account} cannot mint sets of {market.rules.slug}: {done.message}")

    # ---- reads ---------------------------------------------------------------------------------------

    def state(self, market: ListedOutcome) -> VenueState:
        """What a market accepts: the engine's state of it and the exchange's mode."""
        status = self.exchange.views.markets.by_handle[market.handle].status.name
        engine = VenueState.ONLINE if status in ("ACTIVE", "CREATED") else VenueState.CANCEL_ONLY
        return self.exchange.mode if self.exchange.mode is not VenueState.ONLINE else engine

    def book(self, token: Token, depth: int | None = None) -> TokenBook:
        """A token's own book: of outcome 1 it is that of outcome 0, mirrored."""
        book = self.views.books.book(token.market.handle)
        bids = tuple((one.price, one.lots) for one in book.levels(EngineSide.BUY, depth))
        asks = tuple((one.price, one.lots) for one in book.levels(EngineSide.SELL, depth))
        bids, asks = of_token(token, bids, asks)
        return TokenBook(token=token, bids=bids, asks=asks, time_ns=book.updated_ns)

    def last_price(self, token: Token) -> tuple[int, Side] | None:
        """Ticks of the last trade in the token's own price, and its taker's side there."""
        tape = self.views.tapes.tape(token.market.handle)
        if not tape.trades:
            return None
        last = tape.trades[-1]
        if token.outcome:
            return token.market.payout_ticks - last.price, Side(1 - last.side)
        return last.price, Side(last.side)

    def prices(self, token: Token, since_ns: int, until_ns: int, step_s: int) -> list[tuple[int, int]]:
        """(ns, closing ticks) of the minutes with trades, at most one in a step, oldest first."""
        found: list[tuple[int, int]] = []
        for candle in self.views.tapes.tape(token.market.handle).candles[60]:
            if not since_ns <= candle.start_ns <= until_ns:
                continue
            price = token.market.payout_ticks - candle.close if token.outcome else candle.close
            moment = candle.start_ns - candle.start_ns % (step_s * 10**9)
            if found and found[-1][0] == moment:
                found[-1] = (moment, price)
            else:
                found.append((moment, price))
        return found

    def order(self, account: str, reference: str) -> OutcomeOrder | None:
        """An order of an account by its reference; None for another's or a forgotten one."""
        order_id = self.views.by_reference.get(reference)
        record = None if order_id is None else self.views.records.get(order_id)
        if record is None or record.account != account:
            return None
        return self.views.order(record)

    def working(self, account: str) -> list[OutcomeOrder]:
        """Working orders of an account, oldest first."""
        return list(self.views.working(self.exchange.listed.accounts[account]))

    def trades(self, account: str) -> list[OutcomeTrade]:
        """Kept executions of an account, oldest first."""
        kept = self.views.trades.get(account)
        return [] if kept is None else list(kept.values())

    def trade(self, account: str, trade_id: str) -> OutcomeTrade | None:
        """An execution of an account."""
        kept = self.views.trades.get(account)
        return None if kept is None else kept.get(trade_id)

    def collateral(self, account: str) -> tuple[Decimal, Decimal]:
        """Free and held USDC."""
        history = self.exchange.views.records.accounts[account]
        funds = self.exchange.views.records.funds(history, self._collateral)
        return funds.free, funds.held

    def holding(self, account: str, token: Token) -> Shares:
        """What an account holds of a token."""
        handle = self.exchange.listed.accounts[account]
        one = self.views.claims.holding(handle, token.market.handle, token.outcome)
        return Shares(token=token, free=shares(one.free), held=shares(one.held))

    # ---- changes -------------------------------------------------------------------------------------

    async def mint(self, account: str, market: ListedOutcome, sets: Decimal) -> Refused | None:
        """Pays USDC for complete sets. None: done."""
        return await self._sets("MintSet", account, market, sets)

    async def merge(self, account: str, market: ListedOutcome, sets: Decimal) -> Refused | None:
        """Gives complete sets back for USDC. None: done."""
        return await self._sets("MergeSet", account, market, sets)

    async def _sets(self, name: str, account: str, market: ListedOutcome, sets: Decimal) -> Refused | None:
        lots = sets / market.rules.lot
        if lots <= 0 or lots != int(lots):
            return checks.refused(Refusal.OFF_LOT, f"{sets} is no multiple of {market.rules.lot}")
        exchange = self.exchange
        command = build.build(
            name,
            principal=exchange._owners[account],
            account=exchange._account_ids[account],
            client_key=exchange._keys.key(account, ""),
            market=market.handle,
            lots=int(lots),
            valid_until_ns=exchange._valid_until_ns(account),
        )
        results = await exchange._submit([command], [])
        if isinstance(results, Refused):
            return results
        return None if results[0].accepted else checks.refused_by_engine(results[0])

    async def place(self, account: str, request: OutcomeRequest) -> OutcomeOrder | Refused:
        """The order right behind its command, executions included."""
        [answer] = await self.place_many(account, [request])
        return answer

    async def place_many(
        self, account: str, requests: Sequence[OutcomeRequest]
    ) -> list[OutcomeOrder | Refused]:
        """Several orders in one block, each on its own."""
        answers: dict[int, OutcomeOrder | Refused] = {}
        commands, notes, sent = [], [], []
        references = []
        for place, request in enumerate(requests):
            refusal = self._check(request)
            if refusal is not None:
                answers[place] = refusal
                continue
            key = self.exchange._keys.key(account, request.reference)
            commands.append(self._placement(account, key, request))
            notes.append(outcome_note(key, request))
            sent.append(place)
            self._in_flight.add(request.reference)
            references.append(request.reference)
        if commands:
            try:
                results = await self.exchange._submit(commands, notes)
            finally:
                self._in_flight.difference_update(references)
            for position, place in enumerate(sent):
                if isinstance(results, Refused):
                    answers[place] = results
                    continue
                result = results[position]
                record = self.views.records.get(result.value) if result.accepted else None
                if not result.accepted:
                    answers[place] = checks.refused_by_engine(result)
                elif record is None:
                    answers[place] = checks.refused(Refusal.OTHER, "the order ended and was forgotten")
                else:
                    answers[place] = self.views.order(record)
        return [answers[place] for place in range(len(requests))]

    def _check(self, request: OutcomeRequest) -> Refused | None:
        token = self.tokens.get(request.token_id)
        if token is None:
            return checks.refused(Refusal.UNKNOWN_SYMBOL, "no such token")
        if request.reference in self.views.by_reference or request.reference in self._in_flight:
            return checks.refused(Refusal.DUPLICATE_CLIENT_ID, "this order was placed before")
        closed = _closed(self.state(token.market), request)
        return closed or self._check_size(token.market, request)

    def _check_size(self, market: ListedOutcome, request: OutcomeRequest) -> Refused | None:
        if not 0 < request.price_ticks < market.payout_ticks:
            return checks.refused(Refusal.BAD_PRICE, "a price lies between one tick and one tick below 1")
        if not 0 < request.lots <= checks.MAX_LOTS:
            return checks.refused(Refusal.BAD_QUANTITY, "no size")
        lasts = request.order_type in ("GTC", "GTD")
        if lasts and request.lots * market.rules.lot < market.rules.min_shares:
            return checks.refused(
                Refusal.BELOW_MIN_QUANTITY, f"{request.lots * market.rules.lot} shares are too few"
            )
        return None

    def _placement(self, account: str, key: bytes, request: OutcomeRequest) -> bytes:
        exchange, token = self.exchange, self.tokens[request.token_id]
        return build.place_order(
            principal=exchange._owners[account],
            account=exchange._account_ids[account],
            client_key=key,
            market=token.market.handle,
            outcome=token.outcome,
            side=int(request.side),
            lots=request.lots,
            price=request.price_ticks,
            time_in_force=TIMES[request.order_type],
            order_flags=int(OrderFlag.POST_ONLY) if request.post_only else 0,
            expiry_ns=request.expires_ns,
            valid_until_ns=exchange._valid_until_ns(account),
        )

    async def cancel(self, account: str, references: Sequence[str]) -> dict[str, OutcomeOrder | Refused]:
        """Ends orders by reference; one that has ended is `ORDER_CLOSED`, and stays as it is."""
        answers: dict[str, OutcomeOrder | Refused] = {}
        commands, sent = [], []
        for reference in dict.fromkeys(references):
            order = self.order(account, reference)
            if order is None:
                answers[reference] = checks.refused(Refusal.UNKNOWN_ORDER, "no such order")
            elif order.order_id not in self.views.orders.open:
                answers[reference] = checks.refused(Refusal.ORDER_CLOSED, "the order has ended")
            else:
                exchange = self.exchange
                commands.append(
                    build.cancel_order(
                        principal=exchange._owners[account],
                        account=exchange._account_ids[account],
                        order=order.order_id,
                    )
                )
                sent.append((reference, order.order_id))
        if commands:
            results = await self.exchange._submit(commands, [])
            for position, (reference, order_id) in enumerate(sent):
                if isinstance(results, Refused):
                    answers[reference] = results
                elif not results[position].accepted:
                    answers[reference] = checks.refused_by_engine(results[position])
                else:
                    record = self.views.records.get(order_id)
                    answers[reference] = (
                        checks.refused(Refusal.ORDER_CLOSED, "the order has ended")
                        if record is None
                        else self.views.order(record)
                    )
        return answers

    async def cancel_all(
        self, account: str, *, condition_id: str = "", token_id: str = ""
    ) -> dict[str, OutcomeOrder | Refused]:
        """Ends the working orders of an account, of one market or one token of it."""
        chosen = [
            one.reference
            for one in self.working(account)
            if condition_id in ("", one.token.market.condition_id) and token_id in ("", one.token.token_id)
        ]
        return await self.cancel(account, chosen)

    async def panic(self, account: str) -> Refused | None:
        """Ends every working order of an account in every market with one command (missed heartbeats)."""
        exchange = self.exchange
        command = build.cancel_all(
            principal=exchange._owners[account], account=exchange._account_ids[account], market=ALL_MARKETS
        )
        results = await exchange._submit([command], [])
        if isinstance(results, Refused):
            return results
        return None if results[0].accepted else checks.refused_by_engine(results[0])

    # ---- streams -------------------------------------------------------------------------------------

    def listen_books(self, listener: Callable[[TokenChange], None]) -> Callable[[], None]:
        """Changes of every book, behind durability; how to end it. Raises `ValueError` at the bound."""
        return self.views.on_book.add(listener)

    def listen_trades(self, listener: Callable[[OutcomeTrade], None]) -> Callable[[], None]:
        """Executions of every market; how to end it. Raises `ValueError` at the bound."""
        return self.views.on_trade.add(listener)

    def listen_account(self, account: str, listener: Callable[[OutcomeNews], None]) -> Callable[[], None]:
        """Orders and executions of an account; how to end it.

        Raises:
            KeyError: no such account. ValueError: too many listeners.
        """
        return self.views.on_account[account].add(listener)


def _closed(state: VenueState, request: OutcomeRequest) -> Refused | None:
    if state is VenueState.ONLINE or (state is VenueState.POST_ONLY and request.post_only):
        return None
    match state:
        case VenueState.POST_ONLY:
            return checks.refused(Refusal.POST_ONLY_MODE, "only post-only orders now")
        case VenueState.CANCEL_ONLY | VenueState.REDUCE_ONLY:
            return checks.refused(Refusal.CANCEL_ONLY, "only cancels now")
        case _:
            return checks.refused(Refusal.MARKET_CLOSED, "the market is closed")


def of_token(
    token: Token, bids: tuple[tuple[int, int], ...], asks: tuple[tuple[int, int], ...]
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Levels of outcome 0 as the token has them; the order best first stays."""
    if not token.outcome:
        return bids, asks
    whole = token.market.payout_ticks
    return (
        tuple((whole - price, lots) for price, lots in asks),
        tuple((whole - price, lots) for price, lots in bids),
    )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
