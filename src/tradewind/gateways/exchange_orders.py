"""Orders of an exchange: requests in, engine commands through the node, answers behind the durable block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tradewind.core import commands as build
from tradewind.core.enums import (
    ALL_MARKETS,
    CancelReason,
    Line,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    TriggerSource,
)
from tradewind.core.enums import TimeInForce as EngineTimeInForce
from tradewind.core.events import Result
from tradewind.core.native import derive_account_id
from tradewind.node.errors import NodeStopped, QueueFull, SpaceReserved
from tradewind.node.queue import Note
from tradewind.node.service import NodeService
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

from . import exchange_checks as checks
from .exchange_notes import KeyMaker, KeyWindow, placed_note
from .exchange_reads import ExchangeReads
from .exchange_records import AccountHistory, Record, money
from .exchange_setup import ListedMarket, Parties, is_perpetual
from .model import CancelledCount, Kind, Order, PlaceRequest, Refusal, Refused, SelfTrade, TriggerOn

MAX_BATCH: Final = 256
"""Orders of one `place_many`."""
ENGINE_TYPES: Final = {
    Kind.LIMIT: OrderType.LIMIT,
    Kind.MARKET: OrderType.LIMIT,
    Kind.STOP: OrderType.STOP,
    Kind.STOP_LIMIT: OrderType.STOP_LIMIT,
    Kind.TAKE_PROFIT: OrderType.TAKE_PROFIT,
    Kind.TAKE_PROFIT_LIMIT: OrderType.TAKE_PROFIT,
}
"""A market order goes as an immediate limit order: its price is what the book needs and the funds allow."""
ENGINE_SELF_TRADE: Final = {
    SelfTrade.CANCEL_NEWEST: SelfTradePrevention.CANCEL_NEWEST,
    SelfTrade.CANCEL_OLDEST: SelfTradePrevention.CANCEL_OLDEST,
    SelfTrade.CANCEL_BOTH: SelfTradePrevention.CANCEL_BOTH,
    SelfTrade.DECREMENT: SelfTradePrevention.DECREMENT,
}
ENGINE_TRIGGERS: Final = {
    TriggerOn.LAST: TriggerSource.LAST_TRADE,
    TriggerOn.MARK: TriggerSource.MARK,
}
ENGINE_TIMES: Final = {
    TimeInForce.GTC: EngineTimeInForce.GTC,
    TimeInForce.IOC: EngineTimeInForce.IOC,
    TimeInForce.FOK: EngineTimeInForce.FOK,
}


class _Sized(msgspec.Struct, frozen=True, gc=False):
    """Limit and size with which an order goes to the engine."""

    ticks: int
    lots: int


class ExchangeOrders(ExchangeReads):
    """Changes. Each returns behind its durable block. Refused means: nothing was changed.

    Every change raises `UnknownName` for an account that the exchange does not have, and `NodeStopped` when
    the journal fails after the command was handed over: then nobody knows whether it is in the log.
    """

    node: NodeService
    parties: Parties

    def _prepare(self) -> None:
        self._days = {}
        self._keys = KeyMaker()
        self._windows = {name: KeyWindow() for name in self.listed.accounts}
        self._in_flight: set[tuple[str, str]] = set()
        """(account, client id) of placements under way."""
        self._cancel_all_runs: list[tuple[AccountHistory, str | None, list[int]]] = []
        self._owners = {name: self.parties.key(name) for name in self.listed.accounts}
        self._account_ids = {name: derive_account_id(key) for name, key in self._owners.items()}
        self.views.records.on_ended = self._on_ended

    # ---- placing -----------------------------------------------------------------------------------

    def check(self, account: str, request: PlaceRequest) -> Refused | None:
        """Whether filters and funds allow an order now; nothing is sent. What only the book decides
        (post-only, fill-or-kill) is not looked at, nor the margin of perpetual markets.
        """
        history = self._history(account)
        sized = self._sized(history, request)
        if isinstance(sized, Refused):
            return sized
        market = self.listed.markets[request.symbol]
        parameters = self.views.markets.by_handle[market.handle]
        if is_perpetual(market):
            return None
        if request.side is Side.SELL:
            needed, asset = sized.lots * parameters.lot_size, market.base_asset
        else:
            if request.kind in (Kind.STOP, Kind.TAKE_PROFIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT_LIMIT):
                return None
            fee = max(parameters.taker_fee_e6bp, parameters.maker_fee_e6bp)
            needed = checks.reserve_micro(sized.ticks, sized.lots, parameters.scale.unit, fee)
            asset = market.quote_asset
        free = self.views.ledger.line(history.handle, asset, Line.FREE)
        if needed > free:
            text = f"{money(needed)} is needed, {money(free)} is free"
            return checks.refused(Refusal.INSUFFICIENT_FUNDS, text)
        return None

    async def place(self, account: str, request: PlaceRequest) -> Order | Refused:
        """The order right behind its command, executions included. Orders of one caller keep their order."""
        [answer] = await self._place(account, [request])
        return answer

    async def place_many(self, account: str, requests: Sequence[PlaceRequest]) -> list[Order | Refused]:
        """Several orders in one block, each on its own: one refused does not touch the others.

        Raises:
            ValueError: more than `MAX_BATCH`.
        """
        if len(requests) > MAX_BATCH:
            raise ValueError(f"{len(requests)} orders, at most {MAX_BATCH} go together")
        return await self._place(account, requests)

    async def _place(self, account: str, requests: Sequence[PlaceRequest]) -> list[Order | Refused]:
        history = self._history(account)
        answers: list[Order | Refused | None] = [None] * len(requests)
        commands, notes, sent, names = [], [], [], []
        for position, request in enumerate(requests):
            sized = self._sized(history, request)
            if isinstance(sized, Refused):
                answers[position] = sized
                continue
            key = self._keys.key(account, request.client_id)
            commands.append(self._placement(account, key, request, sized))
            notes.append(placed_note(key, request))
            sent.append(position)
            if request.client_id:
                name = (account, request.client_id)
                self._in_flight.add(name)
                names.append(name)
        if commands:
            try:
                results = await self._submit(commands, notes)
            finally:
                self._in_flight.difference_update(names)
            for place, position in enumerate(sent):
                refusal = results if isinstance(results, Refused) else None
                if refusal is None and not isinstance(results, Refused):
                    answers[position] = self._placed(history, requests[position], results[place])
                else:
                    answers[position] = refusal
        return [answer for answer in answers if answer is not None]

    def _placed(self, history: AccountHistory, request: PlaceRequest, result: Result) -> Order | Refused:
        if not result.accepted:
            return checks.refused_by_engine(result, request.valid_until_ns)
        record = history.orders.get(result.value)
        if record is None:
            # The bound of kept orders is below what went through in one block.
            return checks.refused(Refusal.OTHER, f"order {result.value} ended and was forgotten")
        return self.views.records.order(record)

    def _sized(self, history: AccountHistory, request: PlaceRequest) -> _Sized | Refused:
        """All checks but those of the engine, and the limit and size for it."""
        market = self.listed.markets.get(request.symbol)
        if market is None:
            return checks.refused(Refusal.UNKNOWN_SYMBOL, f"no market {request.symbol!r}")
        now_ns = self.now_ns()
        if request.valid_until_ns and request.valid_until_ns < now_ns:
            return checks.refused(Refusal.DEADLINE_PASSED, "the deadline has passed")
        refusal = checks.check_form(request) or checks.check_state(
            self.markets[request.symbol].state, request
        )
        if refusal is None and request.client_id:
            refusal = self._check_name(history, request.client_id)
        if refusal is not None:
            return refusal
        if request.kind is Kind.MARKET:
            return self._at_market(history, market, request)
        price = request.trigger_ticks if request.kind in checks.AT_MARKET else request.price_ticks
        return checks.check_size(market, price, request.lots) or _Sized(request.price_ticks, request.lots)

    def _check_name(self, history: AccountHistory, client_id: str) -> Refused | None:
        known = history.by_client.get(client_id)
        works = known is not None and known in self.views.orders.open
        if works or (history.name, client_id) in self._in_flight:
            return checks.refused(Refusal.DUPLICATE_CLIENT_ID, "a working order has this client id")
        return None

    def _at_market(
        self, history: AccountHistory, market: ListedMarket, request: PlaceRequest
    ) -> _Sized | Refused:
        parameters = self.views.markets.by_handle[market.handle]
        unit, fee = parameters.scale.unit, max(parameters.taker_fee_e6bp, parameters.maker_fee_e6bp)
        free = self.views.ledger.line(history.handle, market.quote_asset, Line.FREE)
        book = self.views.books.book(market.handle)
        lots, buys = request.lots, request.side is Side.BUY
        if not lots and is_perpetual(market):
            return checks.refused(Refusal.UNSUPPORTED, "perpetual markets take sizes, not amounts")
        if not lots:
            amount = checks.micro_floor(request.quote_amount)
            if buys and amount > free:
                text = f"{money(amount)} is needed, {money(free)} is free"
                return checks.refused(Refusal.INSUFFICIENT_FUNDS, text)
            if buys:
                # The fee comes on top; who spends everything pays it out of the amount.
                amount = min(amount, free * checks.E6BP_WHOLE // (checks.E6BP_WHOLE + fee))
            lots = checks.lots_for_amount(book, request.side, amount, unit)
        perpetual = self.views.leverage.markets.get(market.handle)
        index = None if perpetual is None else perpetual.index or perpetual.mark
        reference = index or checks.reference_ticks(book, self._tape(request.symbol).last_price)
        limit = checks.market_limit(book, reference, request.side, max(lots, 1))
        if limit is None:
            return checks.refused(Refusal.NO_LIQUIDITY, "the opposite side is empty")
        if not lots:
            return checks.refused(Refusal.BELOW_MIN_QUANTITY, "the amount is below one lot")
        refusal = checks.check_size(market, limit, lots)
        if refusal is not None:
            return refusal
        if buys and not is_perpetual(market):
            # What the margin above the book would hold beyond the funds is not asked for.
            best = min(limit, checks.affordable_ticks(free, lots, unit, fee))
            limit = best if best > 0 else limit
        return _Sized(limit, lots)

    def _placement(self, account: str, key: bytes, request: PlaceRequest, sized: _Sized) -> bytes:
        waits = request.kind in checks.TRIGGERED
        order_type = OrderType.ICEBERG if request.display_lots else ENGINE_TYPES[request.kind]
        time_in_force = ENGINE_TIMES[request.time_in_force]
        if request.kind is Kind.MARKET and request.time_in_force is not TimeInForce.FOK:
            time_in_force = EngineTimeInForce.IOC
        if request.expires_ns:
            time_in_force = EngineTimeInForce.GTD
        flags = OrderFlag.POST_ONLY if request.post_only else 0
        if request.reduce_only:
            flags |= OrderFlag.REDUCE_ONLY
        if request.linked_order_id:
            flags |= OrderFlag.OCO
        return build.place_order(
            principal=self._owners[account],
            account=self._account_ids[account],
            client_key=key,
            market=self.listed.markets[request.symbol].handle,
            side=int(request.side),
            lots=sized.lots,
            price=sized.ticks,
            order_type=order_type,
            time_in_force=time_in_force,
            order_flags=int(flags),
            expiry_ns=request.expires_ns,
            display_lots=request.display_lots,
            trigger_price=request.trigger_ticks,
            trigger_source=int(ENGINE_TRIGGERS[request.trigger_on]) if waits else 0,
            leverage_e2=self.views.positions.chosen.get((account, request.symbol), 0),
            linked_order=request.linked_order_id,
            self_trade_prevention=ENGINE_SELF_TRADE[request.self_trade],
            valid_until_ns=self._valid_until_ns(account, request.valid_until_ns),
        )

    def _valid_until_ns(self, account: str, deadline_ns: int = 0) -> int:
        now_ns = self.now_ns()
        latest_ns = now_ns + self._windows[account].validity_ns(now_ns)
        return min(deadline_ns, latest_ns) if deadline_ns else latest_ns

    # ---- changing and cancelling -------------------------------------------------------------------

    async def amend(
        self,
        account: str,
        order_id: int,
        *,
        price_ticks: int | None = None,
        lots: int | None = None,
        trigger_ticks: int | None = None,
    ) -> Order | Refused:
        """New limit or new total size; the order keeps its id, and its place only when nothing but its size
        shrinks. Triggers cannot be changed.
        """
        history = self._history(account)
        record = history.orders.get(order_id)
        refusal = self._check_works(record, order_id)
        if record is None or refusal is not None:
            return refusal or checks.refused(Refusal.UNKNOWN_ORDER, f"no order {order_id}")
        order = self.views.records.order(record)
        if trigger_ticks is not None and trigger_ticks != order.trigger_ticks:
            return checks.refused(Refusal.UNSUPPORTED, "the trigger of an order cannot be changed")
        market = self.listed.markets[order.symbol]
        refusal = checks.check_amendment(market, order, price_ticks, lots)
        if refusal is not None:
            return refusal
        command = build.replace_order(
            principal=self._owners[account],
            account=self._account_ids[account],
            client_key=self._keys.key(account, record.client_id),
            order=order_id,
            price=price_ticks or 0,
            total_lots=lots or 0,
            valid_until_ns=self._valid_until_ns(account),
        )
        return await self._changed(command, record)

    async def cancel(self, account: str, order_id: int) -> Order | Refused:
        """The cancelled order. Cancelling one that has ended is `ORDER_CLOSED`, and it stays as it is."""
        record = self._history(account).orders.get(order_id)
        refusal = self._check_works(record, order_id)
        if record is None or refusal is not None:
            return refusal or checks.refused(Refusal.UNKNOWN_ORDER, f"no order {order_id}")
        command = build.cancel_order(
            principal=self._owners[account],
            account=self._account_ids[account],
            order=order_id,
        )
        return await self._changed(command, record)

    def _check_works(self, record: Record | None, order_id: int) -> Refused | None:
        if record is None:
            return checks.refused(Refusal.UNKNOWN_ORDER, f"no order {order_id}")
        if record.order_id not in self.views.orders.open:
            return checks.refused(Refusal.ORDER_CLOSED, f"order {order_id} has ended")
        return None

    async def _changed(self, command: bytes, record: Record) -> Order | Refused:
        results = await self._submit([command], [])
        if isinstance(results, Refused):
            return results
        if not results[0].accepted:
            return checks.refused_by_engine(results[0])
        return self.views.records.order(record)

    async def cancel_all(self, account: str, symbol: str | None = None) -> CancelledCount | Refused:
        """Ends every working order of the account, or those of one market; orders under way before it too."""
        history = self._history(account)
        if symbol is not None and symbol not in self.listed.markets:
            return checks.refused(Refusal.UNKNOWN_SYMBOL, f"no market {symbol!r}")
        command = build.cancel_all(
            principal=self._owners[account],
            account=self._account_ids[account],
            market=ALL_MARKETS if symbol is None else self._handle(symbol),
        )
        run: tuple[AccountHistory, str | None, list[int]] = (history, symbol, [])
        self._cancel_all_runs.append(run)
        try:
            results = await self._submit([command], [])
        finally:
            self._cancel_all_runs.remove(run)
        if isinstance(results, Refused):
            return results
        if not results[0].accepted:
            return checks.refused_by_engine(results[0])
        return CancelledCount(tuple(run[2]))

    def _on_ended(self, history: AccountHistory, record: Record, reason: CancelReason | None) -> None:
        if reason is CancelReason.CANCEL_ALL:
            for run_history, symbol, found in self._cancel_all_runs:
                if run_history is history and symbol in (None, record.symbol):
                    found.append(record.order_id)

    async def cancel_after(self, account: str, seconds: int) -> int | Refused:
        """Arms the dead-man's switch, 5 to 86,400 s, and tells when it fires (ns); 0 disarms it."""
        history = self._history(account)
        if not 0 <= seconds < 1 << 32:
            return checks.refused(Refusal.UNSUPPORTED, "a switch fires after 5 to 86400 s")
        command = build.set_cancel_all_after(
            principal=self._owners[account],
            account=self._account_ids[account],
            client_key=self._keys.key(account, ""),
            window_s=seconds,
            valid_until_ns=self._valid_until_ns(account),
        )
        results = await self._submit([command], [])
        if isinstance(results, Refused):
            return results
        if not results[0].accepted:
            return checks.refused_by_engine(results[0])
        return history.switch_deadline_ns

    # ---- the way in --------------------------------------------------------------------------------

    async def _submit(self, commands: list[bytes], notes: list[Note]) -> list[Result] | Refused:
        """Results in order, or why nothing was queued. Raises `NodeStopped` when nobody knows."""
        if self.node.stop_reason is not None or self.node.detached:
            return checks.refused(Refusal.STOPPED, "the exchange has stopped")
        try:
            results = await self.node.submit_with_notes(commands, notes)
        except (QueueFull, SpaceReserved) as error:
            return checks.refused(Refusal.BUSY, str(error))
        if self.node.detached:
            # The log has the command, and no read shows it any more.
            raise NodeStopped(f"views were detached: {self.node.detached}")
        return results
