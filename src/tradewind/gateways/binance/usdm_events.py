"""Events of an account as Binance USD-M writes them: ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, and listen keys."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.gateways.exchange import Subscription
from tradewind.gateways.exchange_reads import UnknownName
from tradewind.gateways.model import FundsChanged, OrderChanged, PositionMoved

from .calls import Context, Venue
from .errors import BinanceError
from .parameters import Parameters
from .replies import SIDE_NAMES, Remembered, Time, client_id_of
from .symbols import Symbol
from .text import LETTERS, ZERO, decimal_text
from .topics import Topic
from .usdm_orders import average_price, status_of, time_in_force, types, working_type
from .usdm_symbols import STP_MODES
from .user_events import MOVES, AccountWatch, Event, Watches, execution_type

if TYPE_CHECKING:
    from .streams import Connection

KEY_LENGTH: Final = 64
KEY_LIFE_NS: Final = 3_600 * 1_000_000_000
REASONS: Final = {"funding": "FUNDING_FEE", "deposit": "DEPOSIT", "withdrawal": "WITHDRAW"}
"""What changed balances and positions, beside ORDER and ADJUSTMENT."""
LEVERAGE: Final = "leverage"
"""The engine takes a chosen leverage with the next order; the account was told when it chose."""
TRADES: Final = frozenset({"trade", "fee", "order"})


def _money(value: Decimal) -> str:
    return decimal_text(value) if value >= 0 else "-" + decimal_text(-value)


def order_event(
    changed: OrderChanged, symbol: Symbol, entry: Remembered | None, now_ns: int, time: Time
) -> dict[str, Any]:
    """`ORDER_TRADE_UPDATE`, without `rp`: the exchange knows the profit of positions, not of executions."""
    order, fill = changed.order, changed.fill
    status = status_of(order)
    kind, original = types(order, entry)
    at_ns = fill.time_ns if fill is not None else order.updated_ns
    what = execution_type(changed, status)
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": time(at_ns),
        "E": time(now_ns),
        "o": {
            "s": symbol.name,
            "c": client_id_of(order, entry),
            "S": SIDE_NAMES[order.side],
            "o": kind,
            "f": time_in_force(order),
            "q": symbol.quantity(order.lots),
            "p": symbol.price(order.price_ticks),
            "ap": average_price(order, symbol),
            "sp": symbol.price(order.trigger_ticks),
            "x": {"REPLACED": "AMENDMENT", "TRADE_PREVENTION": "EXPIRED"}.get(what, what),
            "X": status,
            "i": order.order_id,
            "l": symbol.quantity(fill.lots) if fill is not None else symbol.quantity(0),
            "z": symbol.quantity(order.filled_lots),
            "L": symbol.price(fill.price_ticks) if fill is not None else symbol.price(0),
            "N": fill.fee_asset if fill is not None else symbol.quote,
            "n": _money(fill.fee) if fill is not None else "0",
            "T": time(at_ns),
            "t": fill.trade_id if fill is not None else 0,
            "b": "0",
            "a": "0",
            "m": fill.maker if fill is not None else False,
            "R": order.reduce_only,
            "wt": working_type(entry),
            "ot": original,
            "ps": "BOTH",
            "cp": False,
            "pP": False,
            "V": STP_MODES.get(order.self_trade, "EXPIRE_TAKER"),
            "pm": "NONE",
            "gtd": 0,
        },
    }


def leverage_event(symbol_name: str, leverage: int, now_ns: int) -> Event:
    """`ACCOUNT_CONFIG_UPDATE`."""
    return lambda time: {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": time(now_ns),
        "T": time(now_ns),
        "ac": {"s": symbol_name, "l": leverage},
    }


class UsdmWatch(AccountWatch):
    """Listens to orders, funds and positions of one account.

    What one block changed is told in one ACCOUNT_UPDATE for each reason, with balances and positions as they
    are behind the block.
    """

    def __init__(self, venue: Venue, account: str) -> None:
        super().__init__(venue, account)
        self._moved: dict[str, dict[str, PositionMoved]] = {}
        """Reason -> market -> last move."""
        self._deltas: dict[str, Decimal] = {}
        """Reason -> change of the balance that is neither profit nor fee."""
        self._due = False
        self._positions: Subscription = venue.exchange.listen_positions(account, self._on_move)

    def close(self) -> None:
        super().close()
        self._positions.close()

    @property
    def failed(self) -> bool:
        return super().failed or not self._positions.active

    def _tell_order(self, changed: OrderChanged, symbol: Symbol, entry: Remembered | None) -> None:
        if self._watchers:
            now_ns = self._venue.exchange.now_ns()
            self.tell("ORDER_TRADE_UPDATE", lambda time: order_event(changed, symbol, entry, now_ns, time))

    def _funds(self, changed: FundsChanged) -> None:
        settlement = self._venue.exchange.configuration.settlement
        for one in changed.funds:
            before, total = self._totals.get(one.asset, Decimal(0)), one.free + one.held
            self._totals[one.asset] = total
            if one.asset != settlement or total == before:
                continue
            reason = _reason(changed.cause)
            moved = total - before if changed.cause in MOVES else Decimal(0)
            self._deltas[reason] = self._deltas.get(reason, Decimal(0)) + moved
            self._later()

    def _on_move(self, moved: PositionMoved) -> None:
        if moved.cause == LEVERAGE:
            return
        self._moved.setdefault(_reason(moved.cause), {})[moved.position.symbol] = moved
        self._later()

    def _later(self) -> None:
        if not self._due and self._watchers:
            self._due = True
            asyncio.get_running_loop().call_soon(self._tell_account)
        elif not self._watchers:
            self._moved.clear()
            self._deltas.clear()

    def _tell_account(self) -> None:
        self._due = False
        moved, self._moved = self._moved, {}
        deltas, self._deltas = self._deltas, {}
        try:
            for reason in dict.fromkeys([*moved, *deltas]):
                event = self._account_event(reason, moved.get(reason, {}), deltas.get(reason, Decimal(0)))
                self.tell("ACCOUNT_UPDATE", event)
        except Exception:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.broken()
            raise

    def _account_event(self, reason: str, moved: dict[str, PositionMoved], delta: Decimal) -> Event:
        exchange = self._venue.exchange
        now_ns = exchange.now_ns()
        summary = exchange.margin(self.account)
        wallet = _money(summary.wallet)
        rows = []
        for canonical in moved:
            symbol = self._venue.symbols.of_canonical(canonical)
            if symbol is None:
                continue
            [position] = exchange.positions(self.account, canonical)
            sign = "-" if position.lots < 0 else ""
            entry = position.entry_price
            price = decimal_text(entry) if entry is not None else "0"
            rows.append(
                {
                    "s": symbol.name,
                    "pa": sign + symbol.quantity(abs(position.lots)),
                    "ep": price,
                    "bep": price,
                    "cr": _money(position.realised),
                    "up": _money(position.unrealised),
                    "mt": "cross",
                    "iw": ZERO,
                    "ps": "BOTH",
                }
            )
        balances = [{"a": summary.asset, "wb": wallet, "cw": wallet, "bc": _money(delta)}]
        body = {"m": reason, "B": balances, "P": rows}
        return lambda time: {"e": "ACCOUNT_UPDATE", "T": time(now_ns), "E": time(now_ns), "a": body}


def _reason(cause: str) -> str:
    return "ORDER" if cause in TRADES else REASONS.get(cause, "ADJUSTMENT")


# ---- listen keys -----------------------------------------------------------------------------------


class ListenKey(msgspec.Struct):
    """The name of an account's stream."""

    key: str
    account: str
    until_ns: int


class ListenKeys:
    """One an account; it lasts an hour after it was last asked for."""

    def __init__(self, watches: Watches) -> None:
        self.watches = watches
        self._by_account: dict[str, ListenKey] = {}
        self._by_key: dict[str, ListenKey] = {}

    def find(self, key: str, now_ns: int) -> ListenKey | None:
        """The stream of a key that lives."""
        found = self._by_key.get(key)
        return None if found is None or found.until_ns <= now_ns else found

    async def create(self, context: Context, parameters: Parameters) -> Any:
        parameters.finish()
        found = self._by_account.get(context.account)
        if found is None or found.until_ns <= context.now_ns:
            self._forget(context.account)
            text = "".join(secrets.choice(LETTERS) for _ in range(KEY_LENGTH))
            found = ListenKey(text, context.account, 0)
            self._by_account[context.account] = self._by_key[text] = found
        found.until_ns = context.now_ns + KEY_LIFE_NS
        return {"listenKey": found.key}

    async def keep(self, context: Context, parameters: Parameters) -> Any:
        found = self._known(context, parameters)
        found.until_ns = context.now_ns + KEY_LIFE_NS
        return {"listenKey": found.key}

    async def end(self, context: Context, parameters: Parameters) -> Any:
        self._known(context, parameters)
        self._forget(context.account)
        return {}

    def _known(self, context: Context, parameters: Parameters) -> ListenKey:
        parameters.text("listenKey")
        parameters.finish()
        found = self._by_account.get(context.account)
        if found is None or found.until_ns <= context.now_ns:
            raise BinanceError(-1125, "This listenKey does not exist.")
        return found

    def _forget(self, account: str) -> None:
        old = self._by_account.pop(account, None)
        if old is not None:
            del self._by_key[old.key]


class UserTopic(Topic):
    """The stream of a listen key. A hole in it ends its connections; the key's end is told, then nothing."""

    hears_markets = False

    def __init__(self, key: ListenKey, keys: ListenKeys, venue: Venue) -> None:
        super().__init__(key.key, venue)
        self._key, self._keys = key, keys
        self._leave: Callable[[], None] | None = None
        self._end: asyncio.TimerHandle | None = None

    @property
    def channel(self) -> str:
        return "userDataStream"

    def add(self, connection: Connection, time: Time) -> None:
        super().add(connection, time)
        if self._leave is None:
            self._leave = self._keys.watches.of(self._key.account).add(self)
            self._watch_end()

    def remove(self, connection: Connection) -> None:
        super().remove(connection)
        if not self.connections:
            self.close()

    def close(self) -> None:
        super().close()
        if self._leave is not None:
            self._leave()
            self._leave = None
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def hear(self, kind: str, event: Event) -> None:
        """An event of the account."""
        now_ns = self.venue.exchange.now_ns()
        if self._keys.find(self.name, now_ns) is self._key:
            self.guarded(self.send, event)

    def broken(self) -> None:
        """There is a hole in what was heard."""
        for connection in tuple(self.connections):
            connection.socket.abort("stream failed")

    def _watch_end(self) -> None:
        left_s = max(0.0, (self._key.until_ns - self.venue.exchange.now_ns()) / 1e9)
        self._end = asyncio.get_running_loop().call_later(left_s, self._ended)

    def _ended(self) -> None:
        now_ns = self.venue.exchange.now_ns()
        if now_ns < self._key.until_ns:
            self._watch_end()
            return
        self._end = None
        name = self.name
        self.send(lambda time: {"e": "listenKeyExpired", "E": time(now_ns), "listenKey": name})


def user_topic(name: str, keys: ListenKeys, venue: Venue) -> UserTopic | None:
    """The stream of a listen key; None for what is none."""
    key = keys.find(name, venue.exchange.now_ns())
    if key is None:
        return None
    with contextlib.suppress(UnknownName):
        keys.watches.of(key.account)
        return UserTopic(key, keys, venue)
    return None
