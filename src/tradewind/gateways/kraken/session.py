"""One WebSocket v2 connection: requests in order, an acknowledgement a symbol, private channels by token."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog

from tradewind.gateways.faults import Action, Fault
from tradewind.gateways.keys import ApiKey, Right
from tradewind.gateways.kraken import errors
from tradewind.gateways.kraken.auth import require
from tradewind.gateways.kraken.board import DEPTHS, INTERVALS, Board, Boards, data_frame, encoded
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.executions import Balances, ExecutionOptions, Executions
from tradewind.gateways.kraken.level3 import DEPTHS as ORDER_DEPTHS
from tradewind.gateways.kraken.methods import Ack, Methods
from tradewind.gateways.kraken.numbers import rfc3339
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.server import Socket

MAX_SUBSCRIPTIONS: Final = 1_000
MAX_SYMBOLS: Final = 500
MAX_PLACING: Final = 64
"""Placements of one connection under way; the next one waits, and so does the reading of the connection."""
PLACING: Final = frozenset({"add_order", "batch_add"})
HEARTBEAT: Final = b'{"channel":"heartbeat"}'
MALFORMED: Final = "Malformed request"
ALREADY: Final = "Already subscribed"
NOT_SUBSCRIBED: Final = "Subscription Not Found"
SYMBOL_CHANNELS: Final = frozenset({"book", "ticker", "trade", "ohlc", "level3"})
PRIVATE_CHANNELS: Final = frozenset({"executions", "balances"})
PLAIN_CHANNELS: Final = frozenset({"instrument", "status"})
UNKNOWN_STATE: Final = b"frozen"
STATES: Final = re.compile(rb'"(status|order_status|exec_type)":"[^"]*"')

log = structlog.get_logger("tradewind.gateway")

_REQUEST: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

Row = dict[str, Any]


def with_unknown_state(frame: bytes) -> bytes:
    """The same answer with states that nobody knows (a fault plan wants it)."""
    return STATES.sub(rb'"\1":"' + UNKNOWN_STATE + b'"', frame)


def fault_text(action: Action, now_ns: int) -> str:
    """The venue's error for a fault that stands in for the execution."""
    if action.rule.message:
        return action.rule.message
    if action.fault is Fault.CANCEL_ONLY:
        return errors.CANCEL_ONLY
    if action.fault is Fault.RATE_BAN:
        until_s = now_ns // 1_000_000_000 + action.rule.seconds
        return f"EService:Throttled: {until_s}" if action.rule.seconds else errors.RATE_LIMIT
    return errors.UNAVAILABLE


class _Request(msgspec.Struct, frozen=True):
    """One request on its way."""

    method: str
    fields: Fields
    head: Row
    time_in: str
    actions: list[Action]


class Session:
    """One connection. `send` is what boards and private channels call."""

    def __init__(
        self, desk: Desk, boards: Boards, methods: Methods, socket: Socket, unknown: Callable[[str], None]
    ) -> None:
        self._desk, self._boards, self._methods, self._socket = desk, boards, methods, socket
        self._unknown = unknown
        self.connection_id = secrets.randbits(63)
        self._closers: dict[tuple[str, str], Callable[[], None]] = {}
        """(channel, symbol or key) -> how to end the subscription."""
        self._tokens: dict[str, str] = {}
        """Tokens that opened a private channel here; they last as long as the connection."""
        self._last_sent_s = time.monotonic()
        self._unknown_next = False
        self._placing: set[asyncio.Task[None]] = set()

    # ---- out -------------------------------------------------------------------------------------------

    def send(self, channel: str, frame: bytes) -> None:
        """Queues a frame of a channel."""
        if self._unknown_next and channel == "executions":
            self._unknown_next, frame = False, with_unknown_state(frame)
        self._last_sent_s = time.monotonic()
        self._socket.send(frame, channel)

    def beat(self, idle_s: float) -> None:
        """A heartbeat when nothing was sent for so long."""
        if time.monotonic() - self._last_sent_s >= idle_s:
            self.send("heartbeat", HEARTBEAT)

    def status_frame(self) -> bytes:
        """The state of the venue, as this connection sees it."""
        row = {
            "api_version": "v2",
            "connection_id": self.connection_id,
            "system": self._desk.system,
            "version": self._desk.options.version,
        }
        return data_frame("status", "update", [row])

    # ---- in --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talks until the connection ends."""
        self._boards.statuses[self] = None
        self.send("status", self.status_frame())
        try:
            async for frame in self._socket:
                await self._received(frame)
        finally:
            await self._placed()
            self._boards.forget(self)
            for close in self._closers.values():
                close()
            self._closers.clear()

    async def _received(self, frame: bytes) -> None:
        time_in = rfc3339(self._desk.now_ns())
        try:
            message = _REQUEST.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._answer({}, None, Ack(error=MALFORMED), time_in)
            return
        method, params, req_id = message.get("method"), message.get("params", {}), message.get("req_id")
        head = {} if req_id is None else {"req_id": req_id}
        if not isinstance(method, str) or not isinstance(params, Mapping) or not _is_request_id(req_id):
            self._answer({}, method if isinstance(method, str) else None, Ack(error=MALFORMED), time_in)
            return
        actions = await self._socket.before(method)
        if actions is None:
            return
        self._unknown_next = self._unknown_next or any(one.fault is Fault.UNKNOWN_ENUM for one in actions)
        stands_in = next((one for one in actions if _stands_in(one, "before")), None)
        if stands_in is not None:
            acks = [Ack(error=fault_text(stands_in, self._desk.now_ns()))]
            self._reply_all(head, method, acks, time_in, actions)
            return
        request = _Request(method, Fields(params), head, time_in, actions)
        if method in ("subscribe", "unsubscribe"):
            self._subscriptions(request)
        elif method == "ping":
            times = {"time_in": time_in, "time_out": rfc3339(self._desk.now_ns())}
            self._reply({"method": "pong", **head, **times}, actions)
        elif method in PLACING:
            await self._place(request)
        else:
            await self._placed()  # what was sent before is in the book before anything else looks there
            await self._execute(request)

    # ---- execution -------------------------------------------------------------------------------------

    async def _place(self, request: _Request) -> None:
        """Starts a placement. Several of a connection share a block; they reach the engine in their order,
        because nothing before the hand-over waits.
        """
        while len(self._placing) >= MAX_PLACING:
            await asyncio.wait(self._placing, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._execute(request), name="kraken-placement")
        self._placing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._placing.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("kraken_placement_failed", error=f"{type(error).__name__}: {error}")
            self._socket.abort("a placement failed")  # the client must not wait for an answer

    async def _placed(self) -> None:
        """Waits until no placement is under way."""
        while self._placing:
            await asyncio.wait(self._placing)

    async def _execute(self, request: _Request) -> None:
        lose = any(one.fault is Fault.LOSE_ORDER for one in request.actions)
        acks = await self._method(request.method, request.fields, lose)
        if any(_stands_in(one, "after") for one in request.actions):
            acks = [Ack(error=errors.INTERNAL)]
        self._reply_all(request.head, request.method, acks, request.time_in, request.actions)

    async def _method(self, method: str, fields: Fields, lose: bool) -> list[Ack]:
        found = self._methods.handlers.get(method)
        if found is None:
            self._unknown(method)
            return [Ack(error=errors.UNKNOWN_METHOD)]
        rights, handler = found
        try:
            key, _ = self._key(fields)
            require(key, rights)
            return await handler(key, fields, lose)
        except KrakenError as error:
            return [Ack(error=error.text)]

    def _key(self, fields: Fields) -> tuple[ApiKey, str]:
        """The key of the request's token, and the token. Raises `KrakenError`."""
        token = fields.text("token")
        name = self._tokens.get(token) or self._desk.tokens.key_of(token, self._desk.now_ns())
        key = None if name is None else self._desk.exchange.keys.find(name)
        if key is None:
            raise KrakenError(errors.INVALID_SESSION)
        return key, token

    # ---- answers ---------------------------------------------------------------------------------------

    def _answer(
        self, head: Row, method: str | None, ack: Ack, time_in: str, actions: list[Action] | None = None
    ) -> None:
        message: Row = {} if method is None else {"method": method}
        message |= head
        if ack.error:
            message |= {"error": ack.error, "success": False}
        else:
            message |= ({} if ack.result is None else {"result": ack.result}) | {"success": True}
        self._reply(
            {**message, **ack.beside, "time_in": time_in, "time_out": rfc3339(self._desk.now_ns())}, actions
        )

    def _reply(self, message: Row, actions: list[Action] | None) -> None:
        self._last_sent_s = time.monotonic()
        self._socket.reply(encoded(message), actions)

    def _reply_all(
        self, head: Row, method: str, acks: list[Ack], time_in: str, actions: list[Action]
    ) -> None:
        for ack in acks:
            self._answer(head, method, ack, time_in, actions)

    # ---- subscriptions ---------------------------------------------------------------------------------

    def _subscriptions(self, request: _Request) -> None:
        """One acknowledgement a symbol, each followed by its snapshot."""

        def answer(ack: Ack) -> None:
            self._answer(request.head, method, ack, request.time_in, request.actions)

        method, fields = request.method, request.fields
        change = self._subscribe if method == "subscribe" else self._unsubscribe
        try:
            channel = fields.required("channel")
            if channel in SYMBOL_CHANNELS:
                symbols = fields.words("symbol", MAX_SYMBOLS)
                if not symbols:
                    raise invalid("symbol")
            elif channel in PRIVATE_CHANNELS or channel in PLAIN_CHANNELS:
                symbols = [""]
            else:
                self._unknown(f"{method} {channel}")
                raise KrakenError(f"Channel not supported: {channel[:64]}")
        except KrakenError as error:
            answer(Ack(error=error.text))
            return
        for symbol in symbols:
            beside = {"symbol": symbol} if symbol else {}
            try:
                if symbol and symbol not in self._desk.exchange.markets:
                    raise KrakenError(f"Currency pair not supported {symbol[:64]}")
                change(channel, symbol, fields, answer)
            except KrakenError as error:
                answer(Ack(error=error.text, beside=beside))

    def _subscribe(self, channel: str, symbol: str, fields: Fields, answer: Callable[[Ack], None]) -> None:
        if channel in PRIVATE_CHANNELS:
            self._subscribe_private(channel, fields, answer)
            return
        place, result = _place(channel, symbol, fields)
        if channel == "level3":
            key, token = self._key(fields)
            self._tokens[token] = key.key
        if place in self._closers:
            raise KrakenError(ALREADY)
        if len(self._closers) >= MAX_SUBSCRIPTIONS:
            raise KrakenError(errors.RATE_LIMIT)
        snapshot = fields.flag("snapshot", True)
        answer(Ack({**result, "snapshot": snapshot}))
        if not symbol:
            table = self._boards.instruments if channel == "instrument" else self._boards.statuses
            first = self._boards.instrument_snapshot if channel == "instrument" else self.status_frame
        else:
            table, first = self._market_channel(self._boards.board(symbol), channel, result)
        if snapshot:
            self.send(channel, first())
        table[self] = None
        self._closers[place] = lambda: table.pop(self, None)

    @staticmethod
    def _market_channel(
        board: Board, channel: str, result: Row
    ) -> tuple[dict[Any, None], Callable[[], bytes]]:
        """(who listens, what it begins with) of a channel of one market."""
        if channel == "book":
            depth = result["depth"]
            return board.view(depth).listeners, lambda: board.book_snapshot(depth)
        if channel == "level3":
            depth = result["depth"]
            return board.order_view(depth).listeners, lambda: board.order_snapshot(depth)
        if channel == "trade":
            return board.trades, board.trade_snapshot
        if channel == "ticker":
            return board.tickers[result["event_trigger"]], lambda: board.ticker_frame("snapshot")
        interval = result["interval"]
        return board.candles.setdefault(interval, {}), lambda: board.candle_frame(interval, "snapshot")

    def _subscribe_private(self, channel: str, fields: Fields, answer: Callable[[Ack], None]) -> None:
        key, token = self._key(fields)
        require(key, frozenset({Right.READ}))
        if (channel, key.account) in self._closers:
            raise KrakenError(ALREADY)
        desk, account = self._desk, key.account
        snapshot = fields.flag("snapshot", True)
        if channel == "balances":
            balances = Balances(desk, account, self.send)
            self._closers[channel, account] = balances.close
            answer(Ack({"channel": channel, "snapshot": snapshot}))
            if snapshot:
                balances.snapshot()
        else:
            options = ExecutionOptions(
                snap_orders=fields.flag("snap_orders", snapshot),
                snap_trades=fields.flag("snap_trades", fields.flag("snapshot_trades")),
                order_status=fields.flag("order_status", True),
                ratecounter=fields.flag("ratecounter"),
            )
            desk.watch(account)
            executions = Executions(desk, account, options, self.send)
            self._closers[channel, account] = executions.close
            result = {
                "channel": channel,
                "maxratecount": desk.limits.threshold(account),
                "snapshot": snapshot,
            }
            answer(Ack(result | msgspec.structs.asdict(options)))
            if options.snap_orders or options.snap_trades:
                executions.snapshot()
        self._tokens[token] = key.key

    def _unsubscribe(self, channel: str, symbol: str, fields: Fields, answer: Callable[[Ack], None]) -> None:
        if channel in PRIVATE_CHANNELS:
            key, _ = self._key(fields)
            place, result = (channel, key.account), {"channel": channel}
        else:
            place, result = _place(channel, symbol, fields)
        close = self._closers.pop(place, None)
        if close is None:
            raise KrakenError(NOT_SUBSCRIBED)
        close()
        answer(Ack(result))


def _is_request_id(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _stands_in(action: Action, when: str) -> bool:
    """Whether a fault answers instead of the venue, before the execution or behind it."""
    if action.fault is Fault.STATUS:
        return action.rule.when == when
    return when == "before" and action.fault in (Fault.MAINTENANCE, Fault.CANCEL_ONLY, Fault.RATE_BAN)


def _place(channel: str, symbol: str, fields: Fields) -> tuple[tuple[str, str], Row]:
    """(name of a public subscription on a connection, its result). Raises `KrakenError`."""
    result: Row = {"channel": channel} | ({"symbol": symbol} if symbol else {})
    if channel in ("book", "level3"):
        depths = DEPTHS if channel == "book" else ORDER_DEPTHS
        depth = fields.whole("depth", 10, 1, max(depths))
        if depth not in depths:
            raise KrakenError("Subscription depth not supported")
        return (channel, symbol), result | {"depth": depth}
    if channel == "ohlc":
        interval = fields.whole("interval", 1, 1, max(INTERVALS))
        if interval not in INTERVALS:
            raise KrakenError("Subscription ohlc interval not supported")
        return (f"ohlc-{interval}", symbol), result | {"interval": interval}
    if channel == "ticker":
        trigger = fields.text("event_trigger", "trades")
        if trigger not in ("trades", "bbo"):
            raise invalid("event_trigger")
        return (channel, symbol), result | {"event_trigger": trigger}
    return (channel, symbol), result
