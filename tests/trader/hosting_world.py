"""Two markets and as many strategies as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from paper_world import START_NS, YEAR_NS, instrument

from tradewind import _core
from tradewind.core.engine import RULES_VERSION
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.kill import KillSwitch
from tradewind.trader.risk.profile import Profile, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import Manifest, PlaceIntent, StrategyBase
from tradewind.venues.market_data import BookSnapshot, BookState, FeedState, Instrument, Side, TradePrint
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue
from tradewind.venues.protocol import TimeInForce

BTC, ETH = "BTC/USDT", "ETH/USDT"
MIDDLE = {BTC: 5_000_000, ETH: 250_000}
LOT = {BTC: "0.0001", ETH: "0.001"}


class Playing(StrategyBase):
    """Does at each callback what the test put into `plays` for it, and notes that it was called."""

    def __init__(self, name: str, *symbols: str, data: Sequence[str] = ("book",), **manifest: Any) -> None:
        self.manifest = Manifest(
            name=name,
            version="1",
            symbols=symbols or (BTC,),
            expected_holding_s=60,
            expected_edge_bps=Decimal(1),
            cost_model="none",
            max_loss_pct=Decimal(1),
            data=tuple(data),
            **manifest,
        )
        self.called: list[tuple[str, int]] = []
        self.plays: dict[str, Callable[..., Any]] = {}

    def _play(self, name: str, context: Any, *arguments: Any) -> Any:
        self.called.append((name, context.now_ns))
        play = self.plays.get(name)
        return [] if play is None else play(context, *arguments)


def _callback(name: str) -> Callable[..., Any]:
    return lambda self, context, *arguments: self._play(name, context, *arguments)


for _name in ("start", "book", "suspect", "trade", "bar", "fill", "order", "timer", "stop"):
    setattr(Playing, f"on_{_name}", _callback(f"on_{_name}"))


class TwoMarkets:
    """Engine, paper venue of two symbols, trader, session, kill switch."""

    session: Session

    def __init__(self, port: EnginePort, venue: PaperVenue, trader: TraderService) -> None:
        self.port, self.venue, self.trader = port, venue, trader
        self.session = Session(venue, trader)
        self.kill = KillSwitch(self.session)
        self.sequence = 0

    @classmethod
    async def open(
        cls,
        *strategies: StrategyBase | Hosted,
        profile: Profile | None = None,
        outside: dict[str, Instrument] | None = None,
        live: bool = True,
        start: bool = True,
    ) -> TwoMarkets:
        keys = PaperKeys.derive("test")
        genesis = _core.encode_genesis(0, RULES_VERSION, START_NS, keys.grants(START_NS + YEAR_NS))
        port = EnginePort(_core.Engine(genesis), keys.system, START_NS)
        markets = [instrument(symbol, lot=LOT[symbol]) for symbol in (BTC, ETH)]
        fees = load_schedule("binance-spot-vip0")
        setup = await set_up(port, keys, fees, markets, {"USDT": Decimal(10_000)})
        venue = PaperVenue(port, setup, latency=LatencyConfig.off())
        hosted = [one if isinstance(one, Hosted) else Hosted(strategy=one) for one in strategies]
        trader = TraderService(
            venue,
            port,
            profile or load_profile("paper"),
            strategies=hosted,
            outside=outside,
            environment="sim",
        )
        world = cls(port, venue, trader)
        if start:
            assert not await world.session.open()
        if live:
            for symbol in (BTC, ETH):
                # A busy public market: taking orders are bounded by its volume (L23).
                trader.volumes.add(symbol, 10**12, 1, port.now_ns())
                await world.book(symbol)
                await world.state(symbol, BookState.LIVE)
                await world.book(symbol)
        return world

    async def feed(self, event: Any) -> None:
        await self.session.on_event(event, self.port.now_ns())
        await self.session.sleep_ns(0)

    async def book(self, symbol: str, shift: int = 0) -> None:
        """Depth around the middle, moved by `shift` ticks."""
        middle = MIDDLE[symbol] + shift
        self.sequence += 1
        await self.feed(
            BookSnapshot(
                symbol=symbol,
                bids=tuple((middle - 50 - 100 * step, 900 + self.sequence) for step in range(5)),
                asks=tuple((middle + 50 + 100 * step, 900) for step in range(5)),
                sequence=self.sequence,
                **self.stamp(),
            )
        )

    async def state(self, symbol: str, state: BookState) -> None:
        await self.feed(
            FeedState(symbol=symbol, state=state, reason="test", since_ns=self.port.now_ns(), epoch=0)
        )

    async def prints(self, symbol: str, price_ticks: int, lots: int, side: Side | None = None) -> None:
        await self.feed(
            TradePrint(
                symbol=symbol,
                trade_id=None,
                price_ticks=price_ticks,
                quantity_lots=lots,
                aggressor_side=side,
                **self.stamp(),
            )
        )

    def stamp(self) -> dict[str, int | None]:
        now_ns = self.port.now_ns()
        return {"venue_ts_ns": now_ns, "recv_ts_ns": now_ns, "recv_mono_ns": now_ns, "epoch": 0}

    async def wait_ms(self, milliseconds: int) -> None:
        await self.session.sleep_ns(milliseconds * 1_000_000)

    def working(self, strategy: str) -> list[tuple[str, int]]:
        return [(one.intent.symbol, one.price_ticks) for one in self.trader.oms.working(strategy)]


def take(symbol: str, side: Side, lots: int) -> PlaceIntent:
    """An order that trades at once."""
    price = MIDDLE[symbol] + (50 if side is Side.BUY else -50)
    return PlaceIntent(
        symbol=symbol, side=side, price_ticks=price, lots=lots, post_only=False, time_in_force=TimeInForce.IOC
    )


def rest(symbol: str, side: Side = Side.BUY, lots: int = 10, away: int = 1_000) -> PlaceIntent:
    """An order that rests."""
    price = MIDDLE[symbol] + (-away if side is Side.BUY else away)
    return PlaceIntent(symbol=symbol, side=side, price_ticks=price, lots=lots)


def once(*intents: Any) -> Callable[..., list[Any]]:
    """These intents at the first call, nothing later."""
    left = [list(intents)]
    return lambda *_: left.pop() if left else []
