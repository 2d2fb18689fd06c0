"""Suite `tick-to-order`: from a frame of market data to the bytes of the order it leads to (trading T20).

Frames come over a loopback socket from a process that sends each at its time, whether or not we keep up; an
order's time is counted from the moment at which its frame was due (open loop, nothing omitted). In between
are the real parts: decoder and book, the reference strategy, the risk module with every rule, the order desk
with its journal on the disk that is measured, connector, rate limiter, signer lane and HTTP connection. The
venue is our Binance gateway in a process of its own. The orders are the strategy's bids, sent
immediate-or-cancel so that nothing rests. An order ends when the event loop runs again behind its write,
which is a little late.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.lab.bench import children
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, microseconds, percentile
from tradewind.lab.bench.decode import binance_frame, walk
from tradewind.lab.bench.node import quiet_log
from tradewind.lab.bench.tick_children import ACCOUNT, HEADER, LENGTH, MIDDLE_TICKS, SYMBOL
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.orders import ManagedOrder, State
from tradewind.trader.risk.check import Order, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.check import Path as RiskPath
from tradewind.trader.risk.loss import LossGuard
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.risk.state import TradingState
from tradewind.trader.strategies.market_making import MarketMaking, MarketMakingParameters
from tradewind.trader.strategy import BookTop, OwnOrder, PlaceIntent
from tradewind.trader.strategy import Context as StrategyContext
from tradewind.trader.venue_desk import NotTrading, VenueDesk
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import BinanceSpotRule
from tradewind.venues.market_data import BookSnapshot, Instrument, Known, Stale, Unknown
from tradewind.venues.paper.filters import Rules
from tradewind.venues.paper.port import NodePort, Note
from tradewind.venues.protocol import FeeSchedule, Incomplete, OrderType, TimeInForce
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_http import NoAnswer, PrivateHttp, Reply

SECOND_NS: Final = 1_000_000_000
TICKS_PER_SECOND: Final = 250
LEVELS_PER_TICK: Final = 36
"""As in the recorded stream."""
REFRESH_MS: Final = 20
"""The strategy quotes anew after so long on the feed's clock: every fifth frame leads to an order."""
WARM_ORDERS: Final = 10
"""The first orders are not counted: connections are made and memory is taken."""
MEMORY: Final = Path("/dev/shm")  # noqa: S108 a folder of our own is made in it
YEAR_NS: Final = 360 * 86_400 * SECOND_NS
START_S: Final = 60.0
DRAIN_S: Final = 60.0
PATIENCE_S: Final = 20.0
"""Of connector and venue for an answer: on a machine that is too busy an order is late, not in doubt."""
PRINCIPAL: Final = b"tick to order: the system's part"[:32]
STEPS: Final = (
    "arrival", "decode", "strategy", "risk", "order", "journal", "connector", "sign", "write"
)  # fmt: skip
DONE: Final = frozenset({State.CANCELLED, State.EXPIRED, State.FILLED})

Make = Callable[[], tuple[str, str, Mapping[str, str], bytes] | NoAnswer]


@dataclass(slots=True)
class Trip:
    """One order's way: nanoseconds of the steady clock behind each step, the first when it was due."""

    marks: list[int] = field(default_factory=list)

    def mark(self) -> None:
        self.marks.append(time.monotonic_ns())


TRIP: ContextVar[Trip | None] = ContextVar("trip", default=None)


class WatchedPort:
    """The journal's way in; notes when the intent was handed over and when it was durable."""

    def __init__(self, port: NodePort) -> None:
        self._port = port

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> object:
        trip = TRIP.get()
        first = trip is not None and len(trip.marks) == STEPS.index("order") + 1
        if trip is not None and first:
            trip.mark()
        result = await self._port.submit(commands, notes)
        if trip is not None and first:
            trip.mark()
        return result


class WatchedHttp(PrivateHttp):
    """A lane's connections; notes when a request was signed, and when the loop runs behind its write."""

    def __init__(self, http: PrivateHttp) -> None:
        self.__dict__.update(vars(http))

    async def exchange(self, make: Make, timeout_s: float) -> Reply:
        trip = TRIP.get()
        if trip is None:
            return await super().exchange(make, timeout_s)

        def noted() -> tuple[str, str, Mapping[str, str], bytes] | NoAnswer:
            trip.mark()
            made = make()
            trip.mark()
            asyncio.get_running_loop().call_soon(trip.mark)
            return made

        return await super().exchange(noted, timeout_s)


class Trader:
    """Book, strategy, risk and desk of one symbol."""

    def __init__(self, desk: VenueDesk, instrument: Instrument, fees: Known[FeeSchedule]) -> None:
        self.desk, self.instrument, self.fees = desk, instrument, fees
        self.pipeline = MarketPipeline(BinanceDecoder([instrument]), BinanceSpotRule(), BookLimits())
        self.strategy = MarketMaking(
            (SYMBOL,), MarketMakingParameters(layers=1, min_refresh_ms=REFRESH_MS, max_messages_per_refresh=1)
        )
        limits = msgspec.structs.replace(
            load_profile("paper").limits, max_messages_per_s=10_000, max_same_order_repeat_count=10_000
        )
        self.loss = LossGuard(limits)
        self.loss.mark(desk.ledger.total("USDT"), {}, time.time_ns())
        self.risk = RiskModule(limits, self.loss)
        self.rules = {
            SYMBOL: Rules(
                instrument=instrument,
                max_open_orders=200,
                order_types=frozenset({OrderType.LIMIT}),
                times_in_force=frozenset(TimeInForce),
            )
        }
        self.random = random.Random(1)  # noqa: S311 the strategy's reproducible randomness
        self.trips: list[Trip] = []
        self.orders: list[ManagedOrder] = []
        self.refused: list[str] = []
        self.late_ns: list[int] = []
        self.ticks = 0
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- a frame -----------------------------------------------------------------------------------------

    def take(self, due_ns: int, sent_ns: int, frame: bytes) -> None:
        """Everything up to the decision, and an order's beginning."""
        trip = Trip([due_ns])
        trip.mark()
        now_ns = time.time_ns()
        self.ticks += 1
        self.late_ns.append(sent_ns - due_ns)
        self.pipeline.process(frame, Received(now_ns, trip.marks[1], 0), [])
        trip.mark()
        top = self._top(now_ns)
        if not isinstance(top, Known):
            self.refused.append(f"no top: {top!r}")
            return
        # its clock is the feed's: a stall leads to as many orders as there would have been without it
        intents = self.strategy.on_book(self._context(due_ns + self._wall_ns), self._book(now_ns))
        trip.mark()
        for intent in intents:
            if isinstance(intent, PlaceIntent):
                self._check(intent, top, now_ns, trip)

    def _book(self, now_ns: int) -> BookTop:
        book, levels = self.pipeline.books[SYMBOL], self.strategy.manifest.book_levels
        return BookTop(SYMBOL, book.bids.top(levels), book.asks.top(levels), now_ns)

    def _top(self, now_ns: int) -> Known[Top] | Stale[Top] | Unknown:
        known = self.pipeline.books[SYMBOL].top(now_ns)
        if not isinstance(known, Known):
            return Unknown(known.reason)
        tick, best = self.instrument.tick, known.value
        return Known(Top(bid=tick * best.bid_ticks, ask=tick * best.ask_ticks), known.as_of_ns, known.source)

    def _context(self, now_ns: int, **more: Any) -> StrategyContext:
        return StrategyContext.fixed(
            now_ns=now_ns, instrument=self.instrument, fees=self.fees.value,
            equity=self.desk.ledger.total("USDT"), position_lots=0, orders=(), strategy_loss=Decimal(0),
            state="normal", hold_reason="", size_multiplier=self.loss.size_multiplier, random=self.random,
            **more,
        )  # fmt: skip

    def _check(self, intent: PlaceIntent, top: Known[Top], now_ns: int, trip: Trip) -> None:
        instrument, name = self.instrument, self.strategy.manifest.name
        order = Order(
            strategy=name, path=RiskPath.STRATEGY, symbol=SYMBOL, base=instrument.base,
            quote=instrument.quote, side=intent.side, time_in_force=TimeInForce.IOC,
            price=instrument.tick * intent.price_ticks, quantity=instrument.lot * intent.lots,
            decision_ns=now_ns,
        )  # fmt: skip
        denied = self.risk.check(order, self._snapshot(top))
        if denied:
            self.refused.append(f"risk: {denied[0]}")
            return
        request = OrderRequest(
            strategy=name, path=str(RiskPath.STRATEGY), symbol=SYMBOL, side=intent.side,
            price_ticks=intent.price_ticks, lots=intent.lots, time_in_force=TimeInForce.IOC, tag=intent.tag,
            decision_ns=now_ns,
        )  # fmt: skip
        trip.mark()
        task = asyncio.create_task(self._place(request, trip))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # The strategy waits before it repeats what was refused: it hears that this was not.
        told = OwnOrder(
            client_id="-", symbol=SYMBOL, side=intent.side, price_ticks=intent.price_ticks,
            lots=intent.lots, remaining_lots=intent.lots, tag=intent.tag, busy=True,
        )  # fmt: skip
        self.strategy.on_order(self._context(now_ns, book=self._book(now_ns)), told, str(State.JOURNALED))

    def _snapshot(self, top: Known[Top]) -> Snapshot:
        ledger, now_ns = self.desk.ledger, time.time_ns()
        return Snapshot(
            now_ns=now_ns, rules=self.rules, tops={SYMBOL: top},
            equity=Known(ledger.total("USDT"), now_ns, "ledger"), balances_as_of_ns=now_ns,
            available={asset: ledger.available(asset) for asset in ("USDT", "BTC")},
            positions={SYMBOL: ledger.total("BTC")},
            working=[self._working(order) for order in self.desk.oms.working()],
            fees=self.fees, state=TradingState.NORMAL, strategy_pnl={},
        )  # fmt: skip

    def _working(self, order: ManagedOrder) -> Working:
        return Working(
            client_id=order.client_id, symbol=SYMBOL, side=order.intent.side,
            price=self.instrument.tick * order.worst_price_ticks,
            quantity=self.instrument.lot * order.worst_remaining_lots,
            unresolved=order.state is State.UNKNOWN, strategy=order.intent.strategy,
        )  # fmt: skip

    async def _place(self, request: OrderRequest, trip: Trip) -> None:
        TRIP.set(trip)
        try:
            order = await self.desk.place(request)
        except NotTrading as reason:
            self.refused.append(f"desk: {reason}")
            return
        self.orders.append(order)
        self.trips.append(trip)

    async def drained(self) -> None:
        """Waits until every order has ended.

        Raises:
            MeasureFailed: one did not, or an order was refused.
        """
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._tasks or any(one.state not in DONE for one in self.orders):
                    if any(one.state is State.REJECTED for one in self.orders):
                        break
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        odd = [one for one in self.orders if one.state not in DONE]
        wrong = [f"{one.client_id} is {one.state}: {one.reason}" for one in odd] + self.refused
        if wrong:
            raise MeasureFailed(f"{len(wrong)} orders went wrong: {wrong[0]}")


class Intake(asyncio.Protocol):
    """Cuts the feed's bytes into frames."""

    def __init__(self, trader: Trader, ended: asyncio.Event) -> None:
        self._trader, self._ended, self._rest = trader, ended, b""

    def data_received(self, data: bytes) -> None:
        rest, at = self._rest + data, 0
        while len(rest) - at >= HEADER.size:
            due_ns, sent_ns, length = HEADER.unpack_from(rest, at)
            end = at + HEADER.size + length
            if len(rest) < end:
                break
            self._trader.take(due_ns, sent_ns, rest[at + HEADER.size : end])
            at = end
        self._rest = rest[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


# ---- the suite ---------------------------------------------------------------------------------------------


def run(context: Context) -> Figures:
    """Times of whole orders and of their steps, in microseconds."""
    with quiet_log():
        return uvloop.run(_measure(context))


async def _measure(context: Context) -> Figures:
    folder = context.folder("tick-to-order")
    context.tell("the disk alone")
    disk = await asyncio.to_thread(_disk, folder, context.effort.tick_orders)
    context.tell("a venue, a desk and its journal")
    async with _venue(folder) as place, _desk(folder / "desk", place) as desk:
        [instrument] = [one for one in desk.oms.instruments.values() if one.symbol == SYMBOL]
        fees = await desk.venue.fees(ACCOUNT, SYMBOL)
        if not isinstance(fees, Known):
            raise MeasureFailed(f"fees: {fees.reason}")
        trader = Trader(desk, instrument, fees)
        orders = context.effort.tick_orders + WARM_ORDERS
        frames = _frames(trader, orders * TICKS_PER_SECOND * REFRESH_MS // 1_000)
        context.tell(f"{TICKS_PER_SECOND} frames a second, open-loop")
        await _feed(trader, frames)
        await trader.drained()
    return {**_figures(trader), **disk}


def _frames(trader: Trader, count: int) -> list[bytes]:
    """Frames of a book that walks around; its snapshot is in the book already."""
    dice = random.Random(7)  # noqa: S311 no secret
    first, *updates = walk(dice, LEVELS_PER_TICK, count, middle=MIDDLE_TICKS)
    snapshot = msgspec.structs.replace(first, symbol=SYMBOL, recv_ts_ns=time.time_ns())
    assert isinstance(snapshot, BookSnapshot)
    trader.pipeline.apply(snapshot, [])
    return [binance_frame(trader.instrument, one) for one in updates]


async def _feed(trader: Trader, frames: Sequence[bytes]) -> None:
    ended = asyncio.Event()
    server = await asyncio.get_running_loop().create_server(lambda: Intake(trader, ended), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        child = await _child("feed", str(port), str(SECOND_NS // TICKS_PER_SECOND))
        assert child.stdin is not None
        child.stdin.write(b"".join(LENGTH.pack(len(one)) + one for one in frames))
        child.stdin.close()
        try:
            async with asyncio.timeout(START_S + len(frames) / TICKS_PER_SECOND):
                await ended.wait()
        finally:
            await _end(child)
    if trader.ticks != len(frames):
        raise MeasureFailed(f"{trader.ticks} of {len(frames)} frames came")


async def _child(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tradewind.lab.bench.tick_children", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=children.environment(),
    )  # fmt: skip


async def _end(child: asyncio.subprocess.Process) -> None:
    """The end of its input ends it; what does not listen is killed."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(DRAIN_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


@contextlib.asynccontextmanager
async def _venue(scratch: Path) -> AsyncIterator[dict[str, str]]:
    """A venue that keeps its books in memory, so that only our journal uses the disk."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else scratch
    folder = tempfile.TemporaryDirectory(prefix="tradewind-venue-", dir=parent)
    child = await _child("venue", str(Path(folder.name) / "data"))
    try:
        assert child.stdout is not None
        async with asyncio.timeout(START_S):
            line = await child.stdout.readline()
        if not line:
            raise MeasureFailed("the venue did not start")
        yield json.loads(line)
    finally:
        await _end(child)
        folder.cleanup()


@contextlib.asynccontextmanager
async def _desk(folder: Path, place: Mapping[str, str]) -> AsyncIterator[VenueDesk]:
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(PRINCIPAL, int(Role.SYSTEM), now_ns + YEAR_NS)])
    options = BinanceOptions(
        endpoints=msgspec.structs.replace(SPOT, rest_url=place["url"], websocket_url=place["socket_url"]),
        private_url=f"{place['socket_url']}/ws-api/v3",
        symbols=(SYMBOL,),
        window_ms=int(PATIENCE_S * 1_000),
        answer_timeout_s=PATIENCE_S,
    )
    key = BinanceKey(place["key"], place["secret"])
    limits = NodeLimits(space_reserved_bytes=0)
    async with (
        await NodeService.start(folder, genesis=genesis, limits=limits, reserve_bytes=0) as node,
        open_binance(key, KeyFolder(folder / "keys"), account=ACCOUNT, options=options) as venue,
    ):
        if not await venue.open(START_S):
            raise MeasureFailed("the connector did not come up")
        venue.rest.lane.http = WatchedHttp(venue.rest.lane.http)
        listed = await venue.instruments()
        if isinstance(listed, Incomplete):
            raise MeasureFailed(f"instruments: {listed.reason}")
        identity = Identity(
            environment="sim", account=ACCOUNT, venue="binance", epoch=1, limits_hash="-", config_hash="-"
        )
        desk = VenueDesk(
            venue, WatchedPort(NodePort(node)), Oms(identity, {one.symbol: one for one in listed}, Ledger())
        )
        await desk.start()
        try:
            if desk.blocked:
                raise MeasureFailed(f"the desk does not trade: {desk.blocked}")
            yield desk
        finally:
            await desk.stop()


def _disk(folder: Path, count: int) -> Figures:
    """What a small append and its sync take on this disk when nothing else happens."""
    samples, record = [], struct.pack("<1024x")
    handle = os.open(folder / "sync", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            begin_ns = time.monotonic_ns()
            os.write(handle, record)
            os.fdatasync(handle)
            samples.append(time.monotonic_ns() - begin_ns)
    finally:
        os.close(handle)
    return {
        "disk_sync_alone_p50_us": microseconds(percentile(samples, 0.5)),
        "disk_sync_alone_p99_us": microseconds(percentile(samples, 0.99)),
    }


def _figures(trader: Trader) -> Figures:
    trips = [one.marks for one in trader.trips[WARM_ORDERS:]]
    if not trips or any(len(marks) != len(STEPS) + 1 for marks in trips):
        raise MeasureFailed("an order left no complete trace")
    whole = [marks[-1] - marks[0] for marks in trips]
    figures: Figures = {
        "p50_us": microseconds(percentile(whole, 0.5)),
        "p99_us": microseconds(percentile(whole, 0.99)),
        "p999_us": microseconds(percentile(whole, 0.999)),
        "max_us": microseconds(max(whole)),
        "orders": len(whole),
        "frames": trader.ticks,
        "frames_per_second": TICKS_PER_SECOND,
        "feed_late_p99_us": microseconds(percentile(trader.late_ns, 0.99)),
    }
    for number, step in enumerate(STEPS):
        took = [marks[number + 1] - marks[number] for marks in trips]
        figures[step] = {
            "p50_us": microseconds(percentile(took, 0.5)),
            "p99_us": microseconds(percentile(took, 0.99)),
        }
    return figures
