"""venue-ws-stability: an hour of market and private connections to both local venues, with silences in it.

Every connection goes through a relay of its own. Within the hour each one falls silent several times, once so
that even pongs still come; the connection has to notice within its bound. The sessions of one venue end
earlier than in service, so that the planned rotation before that end is seen within the hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.keys import new_key
from tradewind.gateways.kraken.desk import KrakenOptions as KrakenGatewayOptions
from tradewind.gateways.kraken.gateway import build as build_kraken
from tradewind.gateways.liquidity import Liquidity
from tradewind.node.limits import NodeLimits
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.relay import LOOPBACK, Relay
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT, open_binance_feed
from tradewind.venues.feeds.live import LiveFeed, LiveOptions
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions
from tradewind.venues.kraken.live import KrakenEndpoints, open_kraken_feed
from tradewind.venues.market_data import BookState
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.rotation import RotationPolicy
from tradewind.venues.transport.websocket import ROTATION, LinkLimits, LinkState, SupervisedWebSocket

SOAK_S: Final = 3_600.0
ACCOUNT: Final = "trader"
FUNDS: Final = {"USD": Decimal(100_000), "USDT": Decimal(100_000)}
SILENT_S: Final = 8.0
GAP_S: Final = 5.0
NOTICE_S: Final = 1.0
"""Behind five seconds of silence it has to be noticed within this: four looks of the watcher."""
SILENCES: Final = (0.25, 0.75)
"""When the line falls silent, as parts of the soak. Connections begin one after another."""
STAGGER_S: Final = 12.0
MUTE: Final = 0.35
"""When the venue's own frames stop while pongs still come."""
SESSION_PARTS: Final = 3
"""Sessions of a soak, as the venue limits them."""
MIN_SESSION_S: Final = 24.0
ROTATE_AT: Final = 0.7
"""A connection is replaced at this part of a session."""
LOOK_EVERY_S: Final = 0.02
START_S: Final = 30.0
TELL_EVERY_S: Final = 60.0
MUTANT_S: Final = 24.0
MAX_EVENTS: Final = 100_000
NEVER: Final = 3_600


class _Line:
    """One connection: its relay, how to see it, and everything that happened to it."""

    def __init__(self, name: str, relay: Relay, socket: Callable[[], SupervisedWebSocket]) -> None:
        self.name, self.relay, self._socket = name, relay, socket
        self.noticed: list[float] = []
        """Moments at which the connection knew that it is not well, in seconds of the soak."""
        self.unplanned: list[dict[str, Any]] = []
        self.planned = self.ended_by_venue = 0
        self.unseen_gaps = 0
        self.silences: list[dict[str, float]] = []
        self.feed: LiveFeed | None = None
        self._seen: SupervisedWebSocket | None = None
        self._state = LinkState.IDLE
        self._book_well = False
        self._in_gap = False

    def look(self, now_s: float) -> None:
        """One sample."""
        if max(len(self.noticed), len(self.unplanned)) > MAX_EVENTS:
            raise CannotMeasureError(f"more than {MAX_EVENTS} events of {self.name}")
        socket = self._socket()
        if socket is not self._seen:  # another connection has taken over, while the old one was well
            self.planned += self._seen is not None
            self._seen, self._state = socket, socket.state
        if socket.state is not self._state:
            if self._state is LinkState.LIVE:
                self._lost(socket.last_reason, now_s)
            self._state = socket.state
        age_s = socket.frame_age_s()
        gap = age_s is not None and age_s > GAP_S + NOTICE_S
        self.unseen_gaps += gap and not self._in_gap
        self._in_gap = gap
        if self.feed is not None:
            [book] = self.feed.pipeline.books.values()
            well = book.state is BookState.LIVE
            if self._book_well and not well:
                self.noticed.append(now_s)
            self._book_well = well

    def _lost(self, reason: str, now_s: float) -> None:
        if reason.startswith(ROTATION):
            self.planned += 1
            return
        self.noticed.append(now_s)
        self.ended_by_venue += reason.startswith("venue closed")
        self.unplanned.append({"at_s": now_s, "reason": reason})

    def row(self) -> dict[str, Any]:
        """For the raw facts."""
        return {
            "name": self.name, "unplanned": self.unplanned, "planned": self.planned,
            "ended_by_venue": self.ended_by_venue, "unseen_gaps": self.unseen_gaps,
            "silences": self.silences, "noticed_s": self.noticed,
        }  # fmt: skip


class _Soak:
    """Everything of one run."""

    def __init__(self, folder: Path, length_s: float, tell: Callable[[str], None]) -> None:
        self.folder, self.length_s, self.tell = folder, length_s, tell
        self.lines: list[_Line] = []
        self.stack = AsyncExitStack()
        self.begin_s = 0.0

    def now_s(self) -> float:
        return time.monotonic() - self.begin_s

    async def open(self) -> None:
        """Venues, relays, connections; returns when all of them are live."""
        session_s = max(MIN_SESSION_S, self.length_s / SESSION_PARTS)
        self.exchange = await Exchange.open(
            self.folder / "exchange",
            ExchangeConfiguration(accounts={ACCOUNT: FUNDS}, limits=NodeLimits(space_reserved_bytes=0)),
        )
        self.stack.push_async_callback(self.exchange.close)
        house = Liquidity(self.exchange)
        await house.start()
        self.stack.push_async_callback(house.close)
        self.kraken = build_kraken(self.exchange, KrakenGatewayOptions(limits_public=False))
        self.binance = BinanceGateway(self.exchange, options=StreamOptions(lifetime_s=session_s))
        for gateway in (self.kraken, self.binance):
            await gateway.start()
            self.stack.push_async_callback(gateway.close)
        await self._feeds(session_s * ROTATE_AT)
        await self._accounts(session_s * ROTATE_AT)
        async with asyncio.timeout(START_S):
            while not all(line._socket().state is LinkState.LIVE for line in self.lines):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)

    async def _relay(self, port: int) -> Relay:
        relay = Relay(port)
        await relay.start()
        self.stack.push_async_callback(relay.close)
        return relay

    async def _feeds(self, rotate_s: float) -> None:
        limits = LiveOptions(link=LinkLimits(rotate_after_s=rotate_s))
        relay = await self._relay(_port(self.kraken.url))
        where = KrakenEndpoints(websocket_url=f"ws://{LOOPBACK}:{relay.port}/v2", rest_url=self.kraken.url)
        await self._feed("kraken market", relay, await open_kraken_feed(["BTC/USD"], where, depth=100))
        relay = await self._relay(_port(self.binance.url))
        spot = msgspec.structs.replace(
            SPOT, websocket_url=f"ws://{LOOPBACK}:{relay.port}", rest_url=self.binance.url
        )
        await self._feed("binance market", relay, await open_binance_feed(["BTCUSDT"], spot, options=limits))

    async def _feed(self, name: str, relay: Relay, feed: LiveFeed) -> None:
        line = _Line(name, relay, lambda: feed.link)
        line.feed = feed
        self.lines.append(line)
        drain = asyncio.create_task(_drain(feed))

        async def end() -> None:
            await feed.close()
            await asyncio.gather(drain, return_exceptions=True)

        self.stack.push_async_callback(end)

    async def _accounts(self, rotate_s: float) -> None:
        relay = await self._relay(_port(self.kraken.url))
        key = self.exchange.keys.of_account(ACCOUNT)[0]
        credentials = self.kraken.credentials(key)
        kraken = await self.stack.enter_async_context(
            open_kraken(
                Credentials(credentials["API_KEY"], credentials["API_SECRET"]),
                KeyFolder(self.folder / "kraken"), account=ACCOUNT, tier="pro",
                options=KrakenOptions(
                    endpoints=KrakenEndpoints(rest_url=self.kraken.url),
                    private_url=f"ws://{LOOPBACK}:{relay.port}/v2",
                ),
            )
        )  # fmt: skip
        if not await kraken.open():
            raise CannotMeasureError(f"not connected: {kraken.socket.link.reason}")
        self.lines.append(_Line("kraken private", relay, lambda: kraken.socket.link.socket))
        relay = await self._relay(_port(self.binance.url))
        fresh = new_key(ACCOUNT)
        self.exchange.keys.add(fresh)
        binance = await self.stack.enter_async_context(
            open_binance(
                BinanceKey(fresh.key, fresh.secret.decode()), KeyFolder(self.folder / "binance"),
                account=ACCOUNT,
                options=BinanceOptions(
                    endpoints=msgspec.structs.replace(
                        SPOT, rest_url=self.binance.url, websocket_url=self.binance.socket_url
                    ),
                    private_url=f"ws://{LOOPBACK}:{relay.port}/ws-api/v3",
                    symbols=("BTC/USDT",),
                    rotation=RotationPolicy(after_s=rotate_s, jitter_s=0.0, live_within_s=10.0, retry_s=2.0),
                ),
            )
        )  # fmt: skip
        if not await binance.open():
            raise CannotMeasureError("the user stream is not connected")
        self.lines.append(_Line("binance private", relay, lambda: binance.rotation.current.link.socket))

    async def run(self) -> Facts:
        """The soak itself."""
        self.begin_s = time.monotonic()
        working = [asyncio.create_task(one) for one in (self._look(), self._say(), self._mute())]
        working += [
            asyncio.create_task(self._silences(line, STAGGER_S * number))
            for number, line in enumerate(self.lines)
        ]
        try:
            done, _ = await asyncio.wait(working, timeout=self.length_s, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()  # what went wrong, went wrong here
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        return {"wall_clock_s": self.now_s(), "lines": [line.row() for line in self.lines]}

    async def _look(self) -> None:
        while True:
            for line in self.lines:
                line.look(self.now_s())
            await asyncio.sleep(LOOK_EVERY_S)

    async def _say(self) -> None:
        while True:
            await asyncio.sleep(min(TELL_EVERY_S, self.length_s / 4))
            most = max(len(line.unplanned) for line in self.lines)
            self.tell(f"{self.now_s():.0f} of {self.length_s:.0f} s, at most {most} unplanned reconnects")

    def _moments(self) -> tuple[float, ...]:
        """When silences begin; a short trial has one."""
        enough = self.length_s >= SOAK_S / 4
        return tuple(part * self.length_s for part in SILENCES) if enough else (2.0,)

    async def _silences(self, line: _Line, stagger_s: float) -> None:
        for moment_s in self._moments():
            stagger_s = stagger_s if len(self._moments()) > 1 else 0.0
            await asyncio.sleep(max(0.0, moment_s + stagger_s - self.now_s()))
            line.relay.silence()
            begin_s = self.now_s()
            try:
                await asyncio.sleep(SILENT_S)
            finally:
                line.relay.resume()
            line.silences.append({"begin_s": begin_s, "end_s": self.now_s()})

    async def _mute(self) -> None:
        """The venue sends no frame any more, while its machine still answers pings."""
        await asyncio.sleep(max(2.0 + SILENT_S + 4.0, MUTE * self.length_s))
        rule = Rule(surface="stream", name="*", action=Fault.DROP_FRAME)
        self.exchange.faults.replace(Plan(rules=(rule,)))
        begin_s = self.now_s()
        await asyncio.sleep(SILENT_S)
        self.exchange.faults.replace(Plan())
        for line in self.lines:
            if line.name != "binance private":  # whose venue promises no heartbeat: silence is usual there
                line.silences.append({"begin_s": begin_s, "end_s": self.now_s()})
        await asyncio.Event().wait()


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].partition("/")[0])


async def _drain(feed: LiveFeed) -> None:
    async for _ in feed.events():
        continue


@contextlib.asynccontextmanager
async def _opened(folder: Path, length_s: float, tell: Callable[[str], None]) -> AsyncIterator[_Soak]:
    soak = _Soak(folder, length_s, tell)
    async with soak.stack:
        await soak.open()
        yield soak


async def _measure(folder: Path, length_s: float, tell: Callable[[str], None]) -> Facts:
    async with _opened(folder, length_s, tell) as soak:
        return await soak.run()


def _observe(context: ProbeContext) -> Facts:
    length_s = SOAK_S if context.soak_s is None else context.soak_s
    return asyncio.run(_measure(context.scratch, length_s, context.tell))


def _suppressed(context: ProbeContext) -> Facts:
    """Nobody misses frames any more: neither on the connection nor in the book."""
    honest = SupervisedWebSocket._watch

    async def blind(self: SupervisedWebSocket, transport: Any) -> None:
        await asyncio.Event().wait()

    SupervisedWebSocket._watch = blind  # type: ignore[method-assign]  # that is the mutation
    try:
        return asyncio.run(_measure(context.scratch, MUTANT_S, context.tell))
    finally:
        SupervisedWebSocket._watch = honest  # type: ignore[method-assign]  # and this is its end


def _undetected(line: Mapping[str, Any]) -> int:
    """Silences of more than five seconds that the connection did not notice in time."""
    missed = sum(
        one["end_s"] - one["begin_s"] > GAP_S
        and not any(one["begin_s"] < seen <= one["begin_s"] + GAP_S + NOTICE_S for seen in line["noticed_s"])
        for one in line["silences"]
    )
    return int(missed) + int(line["unseen_gaps"])


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    lines, wall_clock_s = facts["lines"], facts["wall_clock_s"]
    silences = sum(len(line["silences"]) for line in lines)
    # A soak in which nothing fell silent, or whose sessions the venue had to end, proves nothing.
    rotating = [line for line in lines if line["name"].startswith("binance")]
    unproven = not all(line["silences"] for line in lines) or not lines
    unrotated = any(line["ended_by_venue"] or not line["planned"] for line in rotating)
    hours = max(wall_clock_s, SOAK_S) / SOAK_S
    per_h = max((len(line["unplanned"]) / hours for line in lines), default=float(NEVER))
    missed = sum(_undetected(line) for line in lines)
    return {
        "unplanned_reconnects_per_h": MeasuredValue(NEVER if unrotated else per_h, "count", len(lines)),
        "undetected_gaps": count(NEVER if unproven else missed, silences),
        "wall_clock_s": MeasuredValue(wall_clock_s, "s", 1),
    }


stability = drill(
    "venue-ws-stability",
    observe=_observe,
    broken=_suppressed,
    summarise=_summarise,
    provenance="emulated",
)
