"""The WebSocket of the API: events of accounts with replay, books and trades with gapless numbers.

A client says what it wants to hear, by text frames:

    {"op": "subscribe", "id": 1, "channel": "account", "account": "desk", "after": 17}
    {"op": "subscribe", "id": 2, "channel": "book", "market": "BTC/USDT"}
    {"op": "subscribe", "id": 3, "channel": "trades", "market": "BTC/USDT"}
    {"op": "ping", "id": 4}

Events of an account wait in the account's own memory, so a slow reader lags and loses nothing until that is
full; then it hears `gone` and reads the account anew. Books and trades wait in a queue of the connection; a
reader that lets it fill up is cut off, because it could not know what it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tradewind.api.activity import AccountActivity, BookMoved
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.numbers import plain_text
from tradewind.api.problems import ApiFailure
from tradewind.api.trading_reads import TradingReads
from tradewind.core.enums import Side
from tradewind.node.projections.trades import TapeTrade

log = structlog.get_logger("tradewind.api")

MAX_STREAMS: Final = 128
"""Connections at once."""
MAX_SUBSCRIPTIONS: Final = 64
MAX_MESSAGE_BYTES: Final = 4_096
MAX_MESSAGES: Final = 600
MESSAGE_WINDOW_S: Final = 10.0
"""A client says at most so much in so many seconds."""
MAX_FRAMES: Final = 8_192
MAX_BYTES: Final = 16 << 20
"""Of books, trades and replies that wait for one reader."""
EVENTS_AT_ONCE: Final = 64
SNAPSHOT_LEVELS: Final = 1_000
CHECKED_LEVELS: Final = 25
CHECKED_EVERY: Final = 1_000
"""Every so many changes of a book its checksum is told (T5.6), and with every snapshot."""
POLICY_VIOLATION: Final = 1008
TRY_AGAIN: Final = 1013


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says."""

    op: Literal["subscribe", "unsubscribe", "ping"]
    id: int = 0
    channel: Literal["account", "book", "trades"] | None = None
    account: str | None = None
    market: str | None = None
    after: int | None = None
    """Of an account: the last event that is known; absent: only what comes from now on."""


_WISHES: Final = msgspec.json.Decoder(Wish)


class StreamFull(Exception):
    """The reader lets too much wait."""


class Streams:
    """Every connection of one application."""

    def __init__(self, directory: Directory, reads: TradingReads, now_ns: Callable[[], int]) -> None:
        self.directory, self.reads, self.now_ns = directory, reads, now_ns
        self.open: set[Stream] = set()
        self.cut_off = 0
        """Connections that were ended because their reader was too slow."""

    def counts(self) -> tuple[int, int]:
        """Open connections, and those that were cut off."""
        return len(self.open), self.cut_off

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        if len(self.open) >= MAX_STREAMS:
            await socket.close(TRY_AGAIN, "too many streams")
            return
        await socket.accept()
        stream = Stream(self, socket)
        self.open.add(stream)
        try:
            await stream.run()
        finally:
            self.open.discard(stream)


class Stream:
    """One connection. A task reads wishes, another one writes."""

    def __init__(self, streams: Streams, socket: WebSocket) -> None:
        self._streams, self._socket = streams, socket
        self._directory = streams.directory
        self._views = streams.directory.views
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._cursors: dict[int, int] = {}
        """Account -> number of its last event that was sent."""
        self._undo: dict[tuple[str, int], Callable[[], None]] = {}
        self._ending: tuple[int, str] | None = None
        self._said_at_s: deque[float] = deque(maxlen=MAX_MESSAGES)

    # ---- life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the client leaves, or is cut off."""
        writer = asyncio.create_task(self._write(), name="stream-writer")
        reader = asyncio.create_task(self._read(), name="stream-reader")
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for undo in self._undo.values():
                undo()
            self._undo.clear()
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            if self._ending is not None and self._socket.client_state is WebSocketState.CONNECTED:
                with contextlib.suppress(RuntimeError, OSError):
                    await self._socket.close(*self._ending)

    def _end(self, code: int, reason: str) -> None:
        if self._ending is None:
            self._ending = (code, reason)
            self._streams.cut_off += code == TRY_AGAIN
            log.warning("stream_ended", code=code, reason=reason)
        self._wake.set()

    async def _read(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while self._ending is None:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
                self._hear(text.encode())

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            while self._ending is None:
                sent = False
                while self._waiting and self._ending is None:
                    frame = self._waiting.popleft()
                    self._bytes -= len(frame)
                    await self._socket.send_text(frame.decode())
                    sent = True
                for account in tuple(self._cursors):
                    for frame in self._events(account):
                        await self._socket.send_text(frame.decode())
                        sent = True
                if not sent:
                    self._wake.clear()
                    if self._idle():
                        await self._wake.wait()

    def _idle(self) -> bool:
        activities = self._views.activity.accounts
        return not self._waiting and all(
            activities[account].number == number for account, number in self._cursors.items()
        )

    # ---- out ---------------------------------------------------------------------------------------

    def _put(self, document: dict[str, Any]) -> None:
        if self._ending is not None:
            return
        frame = msgspec.json.encode(document)
        if len(self._waiting) >= MAX_FRAMES or self._bytes + len(frame) > MAX_BYTES:
            self._end(TRY_AGAIN, "the reader is too slow")
            return
        self._waiting.append(frame)
        self._bytes += len(frame)
        self._wake.set()

    def _events(self, account: int) -> list[bytes]:
        """The next events of an account. One whose memory is over tells so, and is heard no more."""
        activity = self._views.activity.accounts[account]
        number = self._cursors[account]
        if number + 1 < activity.first:
            self._leave("account", account)
            gone = {"type": "gone", "account": account, "number": activity.number, "first": activity.first}
            return [msgspec.json.encode(gone)]
        frames = []
        for one in activity.after(number, EVENTS_AT_ONCE):
            row = {"type": "event", "account": account, **self._streams.reads.news(one)}
            frames.append(msgspec.json.encode(row))
            self._cursors[account] = one.number
        return frames

    # ---- in ----------------------------------------------------------------------------------------

    def _hear(self, text: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        full = len(self._said_at_s) == MAX_MESSAGES
        if full and now_s - self._said_at_s[0] < MESSAGE_WINDOW_S:
            self._end(POLICY_VIOLATION, "too many messages")
            return
        self._said_at_s.append(now_s)
        if len(text) > MAX_MESSAGE_BYTES:
            self._end(POLICY_VIOLATION, "message too large")
            return
        try:
            wish = _WISHES.decode(text)
        except msgspec.DecodeError as error:
            self._refuse(0, "MALFORMED_REQUEST", str(error)[:200])
            return
        try:
            self._do(wish)
        except ApiFailure as failure:
            self._refuse(wish.id, failure.problem.name, failure.problem.detail)

    def _refuse(self, number: int, name: str, detail: str) -> None:
        self._put({"type": "refused", "id": number, "name": name, "detail": detail})

    def _do(self, wish: Wish) -> None:
        if wish.op == "ping":
            self._put(
                {
                    "type": "pong",
                    "id": wish.id,
                    "now_ns": self._streams.now_ns(),
                    # Every event up to these numbers was sent before this frame.
                    "accounts": {str(account): number for account, number in self._cursors.items()},
                    "books": self._tops(),
                }
            )
            return
        if wish.channel == "account":
            activity = self._activity(wish)
            if wish.op == "subscribe":
                self._hear_account(wish, activity)
            else:
                self._unsubscribe(wish, activity.handle)
            return
        if wish.channel is None or wish.market is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "name a channel, and its account or market")
        named = self._directory.market(wish.market)
        if wish.op == "unsubscribe":
            self._unsubscribe(wish, named.handle)
        elif wish.channel == "book":
            self._hear_book(wish, named)
        else:
            self._hear_trades(wish, named)

    def _activity(self, wish: Wish) -> AccountActivity:
        if wish.account is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "name the account")
        return self._views.activity.of(self._directory.account(wish.account).account)

    def _unsubscribe(self, wish: Wish, handle: int) -> None:
        assert wish.channel is not None
        self._leave(wish.channel, handle)
        self._put({"type": "unsubscribed", "id": wish.id, "channel": wish.channel})

    def _leave(self, channel: str, handle: int) -> None:
        undo = self._undo.pop((channel, handle), None)
        if undo is not None:
            undo()
        if channel == "account":
            self._cursors.pop(handle, None)

    def _enter(self, channel: str, handle: int, listeners: list[Any], listener: Any) -> None:
        self._leave(channel, handle)
        if len(self._undo) >= MAX_SUBSCRIPTIONS:
            raise ApiFailure(
                422, "TOO_MANY_SUBSCRIPTIONS", f"at most {MAX_SUBSCRIPTIONS}", bound=MAX_SUBSCRIPTIONS
            )
        listeners.append(listener)
        self._undo[channel, handle] = lambda: listeners.remove(listener)

    def _hear_account(self, wish: Wish, activity: AccountActivity) -> None:
        after = activity.number if wish.after is None else wish.after
        if not activity.first - 1 <= after <= activity.number:
            detail = f"events {activity.first} to {activity.number} are kept; read the account anew"
            raise ApiFailure(409, "EVENTS_GONE", detail, bound=activity.first, given=after)
        self._enter("account", activity.handle, activity.listeners, self._wake.set)
        self._cursors[activity.handle] = after
        self._put(
            {
                "type": "subscribed",
                "id": wish.id,
                "channel": "account",
                "account": activity.handle,
                "number": activity.number,
            }
        )

    def _hear_trades(self, wish: Wish, named: NamedMarket) -> None:
        scale = named.scale

        def hear(one: TapeTrade) -> None:
            self._put(
                {
                    "type": "trade",
                    "market": named.handle,
                    "number": one.number,
                    "seq": one.seq,
                    "time_ns": one.time_ns,
                    "price": plain_text(scale.price(one.price)),
                    "size": plain_text(scale.size(one.lots)),
                    "side": one.side.name.lower(),
                }
            )

        self._enter("trades", named.handle, self._views.changes.on_trade.setdefault(named.handle, []), hear)
        self._put({"type": "subscribed", "id": wish.id, "channel": "trades", "market": named.handle})

    # ---- books -------------------------------------------------------------------------------------

    def _hear_book(self, wish: Wish, named: NamedMarket) -> None:
        def hear(moved: BookMoved) -> None:
            checked = moved.number % CHECKED_EVERY == 0
            self._put(
                {
                    "type": "book",
                    "market": named.handle,
                    "number": moved.number,
                    "seq": moved.seq,
                    "time_ns": moved.time_ns,
                    "bids": _levels(named, moved.bids),
                    "asks": _levels(named, moved.asks),
                    **({"checksum": self._checksum(named.handle)} if checked else {}),
                }
            )

        self._enter("book", named.handle, self._views.changes.on_book.setdefault(named.handle, []), hear)
        self._put({"type": "subscribed", "id": wish.id, "channel": "book", "market": named.handle})
        book = self._views.books.book(named.handle)
        sides = [
            [(one.price, one.lots) for one in book.levels(side, SNAPSHOT_LEVELS)]
            for side in (Side.BUY, Side.SELL)
        ]
        self._put(
            {
                "type": "snapshot",
                "market": named.handle,
                "number": self._views.changes.numbers.get(named.handle, 0),
                "seq": self._views.applied_seq,
                "time_ns": self._views.applied_time_ns,
                "bids": _levels(named, sides[0]),
                "asks": _levels(named, sides[1]),
                "checksum": self._checksum(named.handle),
            }
        )

    def _checksum(self, market: int) -> int:
        """CRC-32 over `price:lots,` of the best levels in ticks and lots: bids, a bar, asks."""
        book = self._views.books.book(market)
        return book_checksum(
            [(one.price, one.lots) for one in book.levels(Side.BUY, CHECKED_LEVELS)],
            [(one.price, one.lots) for one in book.levels(Side.SELL, CHECKED_LEVELS)],
        )

    def _tops(self) -> list[dict[str, Any]]:
        """The best prices of the books that are heard: proof that a quiet book is still what it was."""
        rows = []
        for channel, market in self._undo:
            if channel != "book":
                continue
            named = self._directory.named(market)
            book = self._views.books.book(market)
            bid, ask = book.levels(Side.BUY, 1), book.levels(Side.SELL, 1)
            rows.append(
                {
                    "market": market,
                    "number": self._views.changes.numbers.get(market, 0),
                    "bids": _levels(named, [(one.price, one.lots) for one in bid]),
                    "asks": _levels(named, [(one.price, one.lots) for one in ask]),
                }
            )
        return rows


def _levels(named: NamedMarket, rows: list[tuple[int, int]]) -> list[list[str]]:
    scale = named.scale
    return [[plain_text(scale.price(price)), plain_text(scale.size(lots))] for price, lots in rows]


def book_checksum(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> int:
    """CRC-32 of (ticks, lots), best first."""
    text = "|".join("".join(f"{price}:{lots}," for price, lots in side) for side in (bids, asks))
    return zlib.crc32(text.encode())
