"""Orders and executions of the account over REST: complete, or a reason why not (T7.9).

The venue lists executions by symbol only, so "every execution" means: of the symbols that are traded here.
Pages go up by the number of the trade, which never changes, so none is missed while new ones come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from tradewind.venues.binance.account import Mirror
from tradewind.venues.binance.private_messages import OrderRow
from tradewind.venues.binance.refusals import NO_SUCH_ORDER
from tradewind.venues.binance.rest import BinanceRest, Failed
from tradewind.venues.binance.rows import MS, carried_lots, decoded_state, order_state, trade_fact
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Priority
from tradewind.venues.limits.urgency import decides
from tradewind.venues.protocol import FillEvent, Incomplete, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped
from tradewind.venues.transport.shared_read import Batch, SharedRead

OVERLAP_MS = 60_000
MAX_PAGES = 400
MAX_FILL_SYMBOLS = 50
"""Symbols whose executions one list covers; more would need thousands of weight."""
FIRST_TRADE = 0


class Orders(msgspec.Struct, frozen=True):
    """Orders by the venue's id, and why some could not be read."""

    rows: dict[str, OrderState]
    problems: tuple[str, ...] = ()


class Absent(msgspec.Struct, frozen=True):
    """The venue says that there is no such order."""


class Told(msgspec.Struct, frozen=True):
    """An execution with what only its order knows."""

    fact: TradeFact
    client_id: str
    remaining_lots: int


class History:
    """Paged reads. `traded()` are the canonical symbols that this account trades."""

    def __init__(self, rest: BinanceRest, mirror: Mirror, symbols: Callable[[], list[str]]) -> None:
        self._rest, self._mirror, self.traded = rest, mirror, symbols
        self.wire = mirror.directory.wire
        facts = facts_of(self.wire.facts)
        self._page = int(facts["my_trades_page"].value)
        self._weights = {name: int(value) for name, value in facts["weights"].value.items()}
        self.unmapped_rows = 0
        self._shared: OrderedDict[tuple[str | None, bool], SharedRead[None, Orders | Failed]] = OrderedDict()
        self._shared_fills = {urgent: SharedRead(self._read_fills) for urgent in (False, True)}

    def weight(self, name: str) -> int:
        """Published weight of a call."""
        return self._weights[name]

    # ---- what callers share ------------------------------------------------------------------------------

    async def shared_open(self, symbol: str | None) -> Orders | Failed:
        """`open_orders`, in one reading for everybody who asks at the same time."""
        key = (symbol, decides())
        found = self._shared.get(key)
        if found is None:

            async def read(batch: Batch[None]) -> Orders | Failed:
                batch.close()
                return await self.open_orders(symbol)

            found = self._shared[key] = SharedRead(read)
            if len(self._shared) > MAX_FILL_SYMBOLS:
                self._shared.popitem(last=False)  # who waits there is served all the same
        return await found.get(None)

    async def shared_fill_events(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """`fill_events` of the traded symbols, in one reading for everybody who asks at the same time."""
        rows = await self._shared_fills[decides()].get(since_sequence)
        if isinstance(rows, Incomplete):
            return rows
        since_ns = max(0, since_sequence // MS - OVERLAP_MS) * MS
        return [one for one in rows if one.venue_ts_ns >= since_ns]

    async def _read_fills(self, batch: Batch[int]) -> list[FillEvent] | Incomplete:
        symbols = self.traded() or list(self._mirror.directory.instruments)
        return await self.fill_events(min(batch.close()), symbols)

    # ---- orders ------------------------------------------------------------------------------------------

    async def open_orders(self, symbol: str | None, cls: Priority = Priority.P2) -> Orders | Failed:
        """Every open order of the account, or of one symbol."""
        instruments = self._mirror.directory.instruments
        if symbol is not None and symbol not in instruments:
            return Orders({})
        fields = [("symbol", instruments[symbol].venue_symbol)] if symbol is not None else []
        answer = await self._rest.read(
            "openOrders", list[msgspec.Raw], fields, cls=cls,
            weight=self.weight("open_orders" if symbol is not None else "open_orders_all"),
        )  # fmt: skip
        return answer if isinstance(answer, Failed) else self._orders(answer)

    async def order(
        self, symbol: str, *, client_id: str = "", venue_id: str = "", cls: Priority = Priority.P2
    ) -> OrderState | Absent | Failed:
        """One order by our id, or by the venue's."""
        name = self._mirror.directory.instruments[symbol].venue_symbol
        which = ("orderId", venue_id) if venue_id else ("origClientOrderId", client_id)
        answer = await self._rest.read(
            "order", OrderRow, [("symbol", name), which], cls=cls, weight=self.weight("order")
        )
        if isinstance(answer, Failed):
            if answer.code == NO_SUCH_ORDER:
                return Absent()
            if answer.code == self.wire.meanings.archived:
                return Failed(reason="the order ended long ago and is archived", code=answer.code)
            return answer
        try:
            return self._state(answer)
        except Unmapped as error:
            self.unmapped_rows += 1
            return Failed(reason=str(error))

    def _state(self, row: OrderRow) -> OrderState:
        state = order_state(row, self._mirror.directory)
        self._mirror.leg(state.venue_id, carried_lots(row.strategyId, row.strategyType))
        return state

    def _orders(self, rows: Iterable[msgspec.Raw]) -> Orders:
        found: dict[str, OrderState] = {}
        problems: list[str] = []
        for raw in rows:
            try:
                row = msgspec.json.decode(raw, type=OrderRow)
                state = self._state(row)
                found[state.venue_id] = state
            except (*UNREADABLE, Unmapped) as error:
                self.unmapped_rows += 1
                problems.append(str(error)[:200])
        return Orders(found, tuple(problems))

    # ---- executions --------------------------------------------------------------------------------------

    async def fills(self, since_ns: int, symbols: list[str]) -> list[Told] | Incomplete:
        """Executions in these symbols since a moment less a minute, oldest first."""
        if len(symbols) > MAX_FILL_SYMBOLS:
            return Incomplete(f"{len(symbols)} symbols; name the traded ones, at most {MAX_FILL_SYMBOLS}", 0)
        told: list[Told] = []
        for symbol in symbols:
            rows = await self._of_symbol(symbol, since_ns)
            if isinstance(rows, Incomplete):
                return Incomplete(rows.reason, rows.got + len(told))
            told += rows
        return sorted(told, key=lambda one: (one.fact.time_ns, one.fact.symbol, int(one.fact.trade_id)))

    async def fill_events(self, since_sequence: int, symbols: list[str]) -> list[FillEvent] | Incomplete:
        """The same as events, in a sequence that grows with the venue's time."""
        rows = await self.fills(since_sequence, symbols)
        if isinstance(rows, Incomplete):
            return rows
        events: list[FillEvent] = []
        last = 0
        for one in rows:
            last = max(last + 1, one.fact.time_ns)
            events.append(self._mirror.fill_event(one.fact, one.client_id, one.remaining_lots, last))
        return events

    async def of_order(self, symbol: str, venue_id: str) -> list[Told] | Incomplete:
        """Executions of one order."""
        facts = await self._pages(symbol, [("orderId", venue_id)], "my_trades_of_order")
        return facts if isinstance(facts, Incomplete) else await self._with_orders(symbol, facts)

    async def _of_symbol(self, symbol: str, since_ns: int) -> list[Told] | Incomplete:
        since_ms = max(0, since_ns // MS - OVERLAP_MS)
        start = [("startTime", str(since_ms))] if since_ms else [("fromId", str(FIRST_TRADE))]
        facts = await self._pages(symbol, start, "my_trades")
        return facts if isinstance(facts, Incomplete) else await self._with_orders(symbol, facts)

    async def _pages(
        self, symbol: str, start: list[tuple[str, str]], weight: str
    ) -> list[TradeFact] | Incomplete:
        name = self._mirror.directory.instruments[symbol].venue_symbol
        found: dict[int, TradeFact] = {}
        which, last = start, -1
        for _ in range(MAX_PAGES):
            answer = await self._rest.read(
                self.wire.trades_path,
                list[msgspec.Raw],
                [("symbol", name), *which, ("limit", str(self._page))],
                weight=self.weight(weight),
            )
            if isinstance(answer, Failed):
                return Incomplete(f"{symbol}: {answer.reason}", len(found))
            numbers: list[int] = []
            for raw in answer:
                try:
                    fact = trade_fact(raw, self._mirror.directory)
                except Unmapped as error:
                    self.unmapped_rows += 1
                    return Incomplete(f"{symbol}: {error}", len(found))
                numbers.append(int(fact.trade_id))
                found[numbers[-1]] = fact
            if last >= 0 and last not in numbers:
                return Incomplete(
                    f"{symbol}: the page behind execution {last} does not begin with it", len(found)
                )
            if len(answer) < self._page:
                return [found[number] for number in sorted(found)]
            # the next page begins with the last row of this one: a page that lacks it shows a hole
            last = max(found)
            keep = [one for one in start if one[0] == "orderId"]
            which = [*keep, ("fromId", str(last))]
        return Incomplete(f"{symbol}: more than {MAX_PAGES} pages", len(found))

    async def _with_orders(self, symbol: str, facts: list[TradeFact]) -> list[Told] | Incomplete:
        """Adds client ids and remainders: from the order's present state, backwards."""
        states: dict[str, OrderState] = {}
        for fact in facts:
            if fact.order_id in states:
                continue
            state = self._mirror.finished.get(fact.order_id)
            if state is None:
                answer = await self.order(symbol, venue_id=fact.order_id)
                if not isinstance(answer, OrderState):
                    why = answer.reason if isinstance(answer, Failed) else "it is not known"
                    return Incomplete(
                        f"order {fact.order_id} of execution {fact.trade_id}: {why}", len(facts)
                    )
                state = answer
            states[fact.order_id] = state
        left: dict[str, int] = {}
        told: list[Told] = []
        for fact in reversed(facts):
            state = states[fact.order_id]
            rest = left.setdefault(fact.order_id, max(0, state.lots - state.filled_lots))
            left[fact.order_id] = rest + fact.lots
            told.append(Told(fact, state.client_id, rest))
        told.reverse()
        return told


__all__ = ["Absent", "History", "Orders", "Told", "decoded_state"]
