"""Small data and scripted strategies for the tests of back-tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tradewind.trader.backtest.candles import Candle, CandleModel, CandlePath, infer_instrument
from tradewind.trader.backtest.run import Facts, Setting, run
from tradewind.trader.strategy import (
    BookTop,
    Context,
    Manifest,
    PlaceIntent,
    PublicTrade,
    Strategy,
    StrategyBase,
    StrategyIntent,
)
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.mirror import MirrorConfig
from tradewind.venues.protocol import TimeInForce
from tradewind.venues.transport.capture import header_frame

SYMBOL = "BTC/USDT"
START_NS = 1_704_067_200 * 10**9
MINUTE_NS = 60 * 10**9
CAPTURES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "captures"
STEADY = LatencyConfig(
    entry_median_ms=40, entry_p99_ms=40, cancel_median_ms=40, cancel_p99_ms=40, report_median_ms=40,
    report_p99_ms=40,
)  # fmt: skip


def candle(number: int, prices: str, volume: str = "100") -> Candle:
    """Open, high, low and close of the minute with this number."""
    first, high, low, last = (Decimal(one) for one in prices.split())
    return Candle(
        open_ns=START_NS + number * MINUTE_NS, open=first, high=high, low=low, close=last,
        volume=Decimal(volume),
    )  # fmt: skip


class CandlesOf:
    """Candles as data, without files."""

    kind, venue, label, files, gaps = "candles", "kraken", "test candles", (), ()
    assumptions = ("test",)
    mirror = MirrorConfig(decrease_wait_ns=0, cross_wait_ns=0)
    market_age_ms = 70_000
    hash = "test"

    def __init__(self, candles: list[Candle], seed: int = 1, model: CandleModel | None = None) -> None:
        self.candles, self.seed, self.model = candles, seed, model or CandleModel()
        # A candle with all decimals fixes tick and lot, whatever the others are.
        fixed = [*candles, candle(0, "0.01 0.01 0.01 0.01", "0.0001")]
        self.instruments: dict[str, Instrument] = {SYMBOL: infer_instrument("kraken", SYMBOL, fixed)}

    def batches(self):  # type: ignore[no-untyped-def]
        path = CandlePath(self.instruments[SYMBOL], self.candles, MINUTE_NS, self.model, self.seed)
        return path.batches()


class Scripted(StrategyBase):
    """Places what a function of the seen prints and the time wishes; keeps what it saw."""

    def __init__(self, wish: Callable[[Scripted, Context], list[StrategyIntent]] | None = None) -> None:
        self.manifest = Manifest(
            name="scripted", version="1", symbols=(SYMBOL,), expected_holding_s=60,
            expected_edge_bps=Decimal(0), cost_model="none", max_loss_pct=Decimal(1), data=("book", "trades"),
        )  # fmt: skip
        self.wish = wish
        self.trades: list[PublicTrade] = []
        self.books: list[BookTop] = []
        self.fills = 0

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        self.books.append(book)
        return self.wish(self, context) if self.wish else []

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        self.trades.append(trade)
        return []

    def on_fill(self, context: Context, fill: object) -> list[StrategyIntent]:
        self.fills += 1
        return []


def buy(price_ticks: int, lots: int, *, take: bool = False) -> PlaceIntent:
    return _place(Side.BUY, price_ticks, lots, take)


def sell(price_ticks: int, lots: int, *, take: bool = False) -> PlaceIntent:
    return _place(Side.SELL, price_ticks, lots, take)


def _place(side: Side, price_ticks: int, lots: int, take: bool) -> PlaceIntent:
    return PlaceIntent(
        symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=lots, post_only=not take,
        time_in_force=TimeInForce.IOC if take else TimeInForce.GTC,
    )  # fmt: skip


def played(data: object, strategy: Strategy | None = None, **changes: object) -> Facts:
    """A run with steady latency."""
    given = {
        "symbol": SYMBOL, "cash": Decimal(10_000), "schedule": "binance-spot-vip0", "latency": STEADY,
        **changes,
    }  # fmt: skip
    return run(data, lambda: strategy or Scripted(), Setting(**given))  # type: ignore[arg-type]


def write_capture(
    path: Path, moments_s: list[float], *, skip: int | None = None, snapshot: bool = True
) -> Path:
    """A capture of Binance spot with a header: snapshot, then a diff and a trade a moment.

    `skip` leaves the diff with this number away: a gap.
    """
    instrument = Instrument(
        venue="binance", symbol=SYMBOL, venue_symbol="BTCUSDT", base="BTC", quote="USDT",
        tick=Decimal("0.01"), lot=Decimal("0.0001"), price_decimals=2, quantity_decimals=4, source="test",
    )  # fmt: skip
    rows: list[tuple[int, bytes]] = [(START_NS, header_frame("binance-spot", [instrument]))]
    if snapshot:
        levels = {
            "bids": [[f"{50_000 - step}.00", "1.0000"] for step in range(1, 6)],
            "asks": [[f"{50_000 + step}.00", "1.0000"] for step in range(1, 6)],
        }
        rows.append((START_NS, json.dumps({"lastUpdateId": 10, **levels}).encode()))
    for number, moment_s in enumerate(moments_s):
        at_ns = START_NS + int(moment_s * 10**9)
        if number != skip:
            rows.append((at_ns, _diff(number, at_ns)))
        rows.append((at_ns, _trade(number, at_ns)))
    body = b"".join(b"%d %s\n" % row for row in rows)
    path.write_bytes(gzip.compress(body, mtime=0) if path.suffix == ".gz" else body)
    return path


def _diff(number: int, at_ns: int) -> bytes:
    data = {
        "e": "depthUpdate", "E": at_ns // 10**6, "s": "BTCUSDT", "U": 11 + number, "u": 11 + number,
        "b": [["49999.00", f"1.{number % 90 + 1:04d}"]], "a": [],
    }  # fmt: skip
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()


def _trade(number: int, at_ns: int) -> bytes:
    data = {
        "e": "trade", "E": at_ns // 10**6, "s": "BTCUSDT", "t": 100 + number, "p": "49999.00",
        "q": "0.0100", "T": at_ns // 10**6, "m": True, "M": True,
    }  # fmt: skip
    return json.dumps({"stream": "btcusdt@trade", "data": data}).encode()
