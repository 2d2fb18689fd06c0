"""Market streams: `/ws/<stream>`, `/stream?streams=a/b`, and subscribing on an open connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from aiohttp import WSCloseCode

from tradewind.gateways import server
from tradewind.gateways.exchange import Subscription
from tradewind.gateways.model import BookChange, PublicTrade
from tradewind.gateways.sockets import Socket, SocketClosed

from .calls import Venue
from .dispatch import ADDRESS, time_unit
from .errors import BinanceError
from .parameters import split_pairs
from .replies import Time
from .topics import SymbolTopic, Topic, make_topic
from .windows import Limit, Window

MAX_TOPICS: Final = 20_000
"""Distinct streams that anybody listens to, over all connections."""
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
MAX_ID_LENGTH: Final = 36
CONNECTIONS: Final = Limit(kind="CONNECTIONS", interval="MINUTE", interval_num=5, limit=300)


MakeTopic = Callable[[str, Venue, float], Topic | None]
"""As `make_topic`."""


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of connections. `interval_scale` shortens the update intervals in tests."""

    ping_s: float = 20.0
    lifetime_s: float = 86_400.0
    messages_per_s: int = 5
    """Inbound messages of one connection in any second; more end it."""
    streams_per_connection: int = 1_024
    connections: Limit = CONNECTIONS
    interval_scale: float = 1.0
    requests_at_once: int = 256
    """Requests of one WebSocket API connection under way."""


class Refusal(Exception):
    """An error reply of the stream protocol."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Connection:
    """One subscriber."""

    def __init__(self, socket: Socket, time: Time, *, combined: bool) -> None:
        self.socket = socket
        self.time = time
        self.combined = combined
        self.topics: dict[str, Topic | None] = {}
        """By name; None for the stream of a market that is not listed, which stays silent."""

    def send(self, frame: bytes, channel: str) -> None:
        self.socket.send(frame, channel)

    def answer(self, body: dict[str, Any]) -> None:
        self.socket.send(msgspec.json.encode(body))


class Feed:
    """One market's topics: listens to the exchange while there are any."""

    def __init__(self, venue: Venue, canonical: str) -> None:
        self.topics: dict[str, Topic] = {}
        self._subscription: Subscription = venue.exchange.listen_market(canonical, self._book, self._trade)

    def _book(self, change: BookChange) -> None:
        for topic in tuple(self.topics.values()):
            topic.guarded(topic.on_book, change)

    def _trade(self, trade: PublicTrade) -> None:
        for topic in tuple(self.topics.values()):
            topic.guarded(topic.on_trade, trade)

    @property
    def failed(self) -> bool:
        return not self._subscription.active

    def close(self) -> None:
        self._subscription.close()


class Hub:
    """All topics that somebody listens to."""

    def __init__(self, venue: Venue, scale: float, make: MakeTopic = make_topic) -> None:
        self._venue = venue
        self._scale = scale
        self._make = make
        self._topics: dict[str, Topic] = {}
        self._feeds: dict[str, Feed] = {}

    def join(self, name: str, connection: Connection) -> Topic | None:
        """The topic of a name with the connection in it; None for a market that is not listed.

        Raises:
            Refusal: no stream has this name, or there are too many.
        """
        topic = self._topics.get(name)
        if topic is None:
            try:
                topic = self._make(name, self._venue, self._scale)
            except BinanceError:
                return None
            if topic is None:
                raise Refusal(2, f"Invalid request: unknown stream {name[:64]}")
            if len(self._topics) >= MAX_TOPICS:
                raise Refusal(2, "Invalid request: too many streams")
            self._topics[name] = topic
            for canonical in self._markets(topic):
                self._feed(canonical).topics[name] = topic
        topic.add(connection, connection.time)
        return topic

    def _markets(self, topic: Topic) -> list[str]:
        if isinstance(topic, SymbolTopic):
            return [topic.canonical]
        return [symbol.market.symbol for symbol in self._venue.symbols.all()] if topic.hears_markets else []

    def _feed(self, canonical: str) -> Feed:
        feed = self._feeds.get(canonical)
        if feed is None or feed.failed:
            feed = self._feeds[canonical] = Feed(self._venue, canonical)
        return feed

    def leave(self, topic: Topic, connection: Connection) -> None:
        """Takes a connection out; a topic without listeners ends."""
        topic.remove(connection)
        if topic.connections or self._topics.get(topic.name) is not topic:
            return
        topic.close()
        del self._topics[topic.name]
        for canonical in self._markets(topic):
            feed = self._feeds.get(canonical)
            if feed is not None and feed.topics.pop(topic.name, None) is not None and not feed.topics:
                feed.close()
                del self._feeds[canonical]

    def close(self) -> None:
        for topic in self._topics.values():
            topic.close()
        for feed in self._feeds.values():
            feed.close()
        self._topics.clear()
        self._feeds.clear()


class Streams:
    """The stream surface of a gateway."""

    def __init__(self, venue: Venue, options: StreamOptions, make: MakeTopic = make_topic) -> None:
        self._venue = venue
        self._options = options
        self._attempts = Window(options.connections)
        self.hub = Hub(venue, options.interval_scale, make)

    def close(self) -> None:
        self.hub.close()

    async def raw(self, socket: Socket, call: server.Call) -> None:
        """`/ws...`: events as they are."""
        await self._talk(socket, call, combined=False)

    async def combined(self, socket: Socket, call: server.Call) -> None:
        """`/stream...`: events with their stream's name around them."""
        await self._talk(socket, call, combined=True)

    async def _talk(self, socket: Socket, call: server.Call, *, combined: bool) -> None:
        now_ns = self._venue.exchange.now_ns()
        if self._attempts.add(ADDRESS, 1, now_ns) > self._options.connections.limit:
            socket.close(WSCloseCode.POLICY_VIOLATION, "Too many connections")
            return
        query = dict(split_pairs(call.raw_query))
        try:
            time = time_unit(query.get("timeUnit"))
        except BinanceError as error:
            socket.close(WSCloseCode.POLICY_VIOLATION, error.message)
            return
        connection = Connection(socket, time, combined=combined)
        # a name that no stream has is silent here: clients connect to any path and subscribe then
        named = [unquote(call.parameters.get("streams", "")), query.get("streams", "")]
        named.append(query.get("listenKey", ""))
        try:
            async with supervised(socket, self._options):
                for name in (one for text in named for one in text.split("/") if one):
                    with contextlib.suppress(Refusal):
                        self._join(connection, name)
                await self._read(connection)
        finally:
            for topic in connection.topics.values():
                if topic is not None:
                    self.hub.leave(topic, connection)

    def _join(self, connection: Connection, name: str) -> None:
        if name in connection.topics:
            return
        if len(connection.topics) >= self._options.streams_per_connection:
            raise Refusal(
                2,
                f"Invalid request: a connection has at most {self._options.streams_per_connection} streams",
            )
        connection.topics[name] = self.hub.join(name, connection)

    async def _read(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        arrived: deque[float] = deque(maxlen=self._options.messages_per_s)
        async for frame in connection.socket:
            now_s = loop.time()
            if len(arrived) == arrived.maxlen and now_s - arrived[0] < 1.0:
                connection.socket.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
                return
            arrived.append(now_s)
            try:
                self._request(connection, frame)
            except Refusal as refusal:
                connection.answer({"error": {"code": refusal.code, "msg": refusal.message}})

    def _request(self, connection: Connection, frame: bytes) -> None:
        try:
            request = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeError):
            raise Refusal(3, "Invalid JSON: expected value at line 1 column 1") from None
        if not isinstance(request, dict) or "method" not in request:
            raise Refusal(2, "Invalid request: missing field `method` at line 1 column 2")
        method, number, params = request["method"], request.get("id"), request.get("params", [])
        if method not in METHODS:
            choices = ", ".join(f"`{one}`" for one in METHODS)
            raise Refusal(2, f"Invalid request: unknown variant `{method!s:.32}`, expected one of {choices}")
        if not valid_id(number):
            raise Refusal(2, "Invalid request: request ID must be an unsigned integer")
        try:
            result = self._do(connection, method, params)
        except Refusal as refusal:
            connection.answer({"error": {"code": refusal.code, "msg": refusal.message}, "id": number})
            return
        connection.answer({"result": result, "id": number})

    def _do(self, connection: Connection, method: str, params: Any) -> Any:
        if method == "LIST_SUBSCRIPTIONS":
            return list(connection.topics)
        if method in {"SET_PROPERTY", "GET_PROPERTY"}:
            return self._property(connection, method, params)
        if not isinstance(params, list) or not all(isinstance(one, str) for one in params):
            raise Refusal(2, "Invalid request: params must be an array of stream names")
        if method == "SUBSCRIBE":
            # one bad name leaves everything as it was
            fresh = [name for name in params if name not in connection.topics]
            try:
                for name in fresh:
                    self._join(connection, name)
            except Refusal:
                for name in fresh:
                    self._leave(connection, name)
                raise
            return None
        for name in params:
            self._leave(connection, name)
        return None

    def _leave(self, connection: Connection, name: str) -> None:
        topic = connection.topics.pop(name, None)
        if topic is not None:
            self.hub.leave(topic, connection)

    @staticmethod
    def _property(connection: Connection, method: str, params: Any) -> Any:
        if not isinstance(params, list) or not params or not isinstance(params[0], str):
            raise Refusal(2, "Invalid request: property name must be a string")
        if params[0] != "combined":
            raise Refusal(0, "Unknown property")
        if method == "GET_PROPERTY":
            if len(params) > 1:
                raise Refusal(2, "Invalid request: too many parameters")
            return connection.combined
        if len(params) != 2 or not isinstance(params[1], bool):
            raise Refusal(1, "Invalid value type: expected Boolean")
        connection.combined = params[1]
        return None


def valid_id(number: Any) -> bool:
    """Integers of 64 bits, short strings, or nothing."""
    if isinstance(number, bool):
        return False
    if isinstance(number, int):
        return -(2**63) <= number < 2**63
    return number is None or (isinstance(number, str) and len(number) <= MAX_ID_LENGTH)


@contextlib.asynccontextmanager
async def supervised(socket: Socket, options: StreamOptions) -> AsyncIterator[None]:
    """Pings a connection while it lasts, and ends it when it has lasted long enough."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + options.lifetime_s
        with contextlib.suppress(SocketClosed):
            while True:
                left_s = end_s - loop.time()
                if left_s <= 0:
                    socket.close(WSCloseCode.GOING_AWAY, "24 hours")
                    return
                await asyncio.sleep(min(options.ping_s, left_s))
                if loop.time() < end_s:
                    await socket.ping(str(int(loop.time() * 1_000)).encode())

    task = asyncio.create_task(watch(), name="gateway-ping")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
