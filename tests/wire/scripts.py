"""Scripted venues for the replay server: a list of frames and, independently of the product, the true book.

Nothing here imports the product: books are dictionaries of Decimal, frames are built with the json module,
and Kraken's checksum is written from its description. A mistake of the product cannot hide in shared code.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

Book = dict[str, dict[Decimal, Decimal]]
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def empty_book() -> Book:
    return {"bids": {}, "asks": {}}


def apply_levels(book: Book, side: str, levels: list[tuple[str, str]]) -> None:
    for price, quantity in levels:
        if Decimal(quantity) == 0:
            book[side].pop(Decimal(price), None)
        else:
            book[side][Decimal(price)] = Decimal(quantity)


def best_first(book: Book, side: str) -> list[tuple[Decimal, Decimal]]:
    return sorted(book[side].items(), reverse=side == "bids")


@dataclass
class Step:
    """One frame of the stream and what it does to the book; `last_id` is None for trades and tickers."""

    frame: dict
    bids: list[tuple[str, str]] = field(default_factory=list)
    asks: list[tuple[str, str]] = field(default_factory=list)
    last_id: int | None = None


class BinanceScript:
    """Frames of one Binance symbol; `book` and `last_id` are the venue's truth after `advance`d steps."""

    def __init__(self, symbol: str, steps: list[Step], book: Book, last_id: int, tick: str, lot: str) -> None:
        self.symbol, self.steps, self.book, self.last_id = symbol, steps, book, last_id
        self.tick, self.lot = tick, lot
        self.start_id = last_id

    def advance(self, index: int) -> Step:
        step = self.steps[index]
        apply_levels(self.book, "bids", step.bids)
        apply_levels(self.book, "asks", step.asks)
        if step.last_id is not None:
            self.last_id = max(self.last_id, step.last_id)
        return step

    def depth_body(self, limit: int) -> dict:
        sides = {side: [[f"{p:f}", f"{q:f}"] for p, q in best_first(self.book, side)[:limit]]
                 for side in ("bids", "asks")}  # fmt: skip
        return {"lastUpdateId": self.last_id, **sides}

    def exchange_info(self) -> dict:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": self.tick, "maxPrice": "1000", "tickSize": self.tick},
            {"filterType": "LOT_SIZE", "minQty": self.lot, "maxQty": "9000", "stepSize": self.lot},
            {"filterType": "NOTIONAL", "minNotional": "5.00", "maxNotional": "9000000"},
        ]
        row = {"symbol": self.symbol, "status": "TRADING", "baseAsset": self.symbol[:-4],
               "quoteAsset": self.symbol[-4:], "filters": filters}  # fmt: skip
        return {"timezone": "UTC", "symbols": [row]}


def _random_levels(rng: random.Random, book: Book, mid: int, count: int) -> dict[str, list[tuple[str, str]]]:
    """`count` changes around `mid` (cents) that never cross; also removes what the mid has passed."""
    changes: dict[str, list[tuple[str, str]]] = {"bids": [], "asks": []}
    for side, sign in (("bids", -1), ("asks", 1)):
        passed = [p for p in book[side] if (int(p * 100) - mid) * sign <= 0]
        changes[side] = [(f"{p:.2f}", "0.00000000") for p in passed]
    for _ in range(count):
        side = rng.choice(["bids", "asks"])
        sign = -1 if side == "bids" else 1
        price = Decimal(mid + sign * rng.randint(1, 150)) / 100
        quantity = Decimal(rng.choice([0, rng.randint(1, 90_000)])) / 100_000
        changes[side].append((f"{price:.2f}", f"{quantity:.8f}"))
    return changes


def synthetic_binance(
    seed: int, steps: int, symbol: str = "TESTUSDT", futures: bool = False
) -> BinanceScript:
    """A random spot (or futures) stream of depth, trade and bookTicker frames."""
    rng = random.Random(seed)
    mid, last_id, trade_id = 1_000_000, 5_000, 70
    book = empty_book()
    for side, sign in (("bids", -1), ("asks", 1)):
        for rank in range(1, 200):
            book[side][Decimal(mid + sign * rank) / 100] = Decimal(rng.randint(1, 90_000)) / 100_000
    opening = {side: dict(levels) for side, levels in book.items()}
    first_id, result = last_id, []
    stream, now_ms = symbol.lower(), 1_700_000_000_000
    for _ in range(steps):
        now_ms += 100
        mid += rng.randint(-3, 3)
        changes = _random_levels(rng, book, mid, 4)
        for side in ("bids", "asks"):
            apply_levels(book, side, changes[side])
        previous, first = last_id, last_id + (rng.randint(2, 9) if futures else 1)
        last_id = first + rng.randint(0, 12)
        data = {"e": "depthUpdate", "E": now_ms, "s": symbol, "U": first, "u": last_id,
                "b": [list(one) for one in changes["bids"]],
                "a": [list(one) for one in changes["asks"]]}  # fmt: skip
        if futures:
            data |= {"T": now_ms, "pu": previous}
        frame = {"stream": f"{stream}@depth@100ms", "data": data}
        result.append(Step(frame, changes["bids"], changes["asks"], last_id))
        if rng.random() < 0.3:
            trade_id += 1
            result.append(Step({"stream": f"{stream}@trade", "data": {
                "e": "trade", "E": now_ms, "s": symbol, "t": trade_id, "p": f"{mid / 100:.2f}",
                "q": "0.00100000", "T": now_ms, "m": rng.random() < 0.5, "M": True}}))  # fmt: skip
    return BinanceScript(symbol, result, opening, first_id, "0.01000000", "0.00001000")


def recorded_binance(limit: int) -> BinanceScript | None:
    """The first `limit` depth and trade frames after the snapshot of the recorded BTCUSDT spot capture."""
    path = SHARED_DATA / "captures" / "binance-spot-btcusdt-2024-08-08.gz"
    if not path.exists():
        return None
    book, last_id, steps = empty_book(), 0, []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line[20:])
            if "lastUpdateId" in frame:
                last_id = frame["lastUpdateId"]
                for side in ("bids", "asks"):
                    apply_levels(book, side, frame[side])
                continue
            data = frame["data"]
            if "bookTicker" in frame["stream"] or not last_id:
                continue
            if "U" in data:
                steps.append(Step(frame, data["b"], data["a"], data["u"]))
            else:
                steps.append(Step(frame))
            if len(steps) >= limit:
                break
    return BinanceScript("BTCUSDT", steps, book, last_id, "0.01000000", "0.00001000")


def kraken_crc(book: Book, depth: int, price_decimals: int, quantity_decimals: int) -> int:
    """From the venue's description: ten best asks then bids, digits without dot and leading zeros."""
    text = ""
    for side in ("asks", "bids"):
        for price, quantity in best_first(book, side)[:depth][:10]:
            text += f"{price:.{price_decimals}f}".replace(".", "").lstrip("0")
            text += f"{quantity:.{quantity_decimals}f}".replace(".", "").lstrip("0")
    return zlib.crc32(text.encode())


class KrakenScript:
    """A Kraken v2 book of one symbol; `advance` returns the book update (and perhaps a trade) as frames."""

    PRICE_DECIMALS, QUANTITY_DECIMALS = 1, 8

    def __init__(self, seed: int, steps: int, symbol: str = "BTC/USD", depth: int = 10) -> None:
        self.rng = random.Random(seed)
        self.symbol, self.depth, self.count = symbol, depth, steps
        self.book = empty_book()
        self.mid, self.trade_id = 600_000, 40
        for side, sign in (("bids", -1), ("asks", 1)):
            for rank in range(1, 60):
                self.book[side][Decimal(self.mid + sign * rank) / 10] = self._quantity()

    def _quantity(self) -> Decimal:
        return Decimal(self.rng.randint(1, 5 * 10**8)) / 10**8

    def _view(self, side: str) -> dict[Decimal, Decimal]:
        return dict(best_first(self.book, side)[: self.depth])

    def _row(self, levels: dict[str, dict[Decimal, Decimal]]) -> dict:
        row = {side: [{"price": price, "qty": quantity} for price, quantity in levels[side].items()]
               for side in ("bids", "asks")}  # fmt: skip
        checksum = kraken_crc(self.book, self.depth, self.PRICE_DECIMALS, self.QUANTITY_DECIMALS)
        timestamp = "2024-08-08T12:00:00.123456Z"
        return {"symbol": self.symbol, **row, "checksum": checksum, "timestamp": timestamp}

    def snapshot_frame(self) -> dict:
        views = {side: self._view(side) for side in ("bids", "asks")}
        return {"channel": "book", "type": "snapshot", "data": [self._row(views)]}

    def advance(self, _: int) -> list[dict]:
        before = {side: self._view(side) for side in ("bids", "asks")}
        self.mid += self.rng.randint(-2, 2)
        for side, sign in (("bids", -1), ("asks", 1)):
            for price in [p for p in self.book[side] if (int(p * 10) - self.mid) * sign <= 0]:
                del self.book[side][price]
            for _ in range(2):
                price = Decimal(self.mid + sign * self.rng.randint(1, 14)) / 10
                if self.rng.random() < 0.4 and len(self.book[side]) > 20:
                    self.book[side].pop(price, None)
                else:
                    self.book[side][price] = self._quantity()
        changes: dict[str, dict[Decimal, Decimal]] = {}
        for side in ("bids", "asks"):
            after = self._view(side)
            changes[side] = {p: Decimal(0) for p in before[side] if p not in self.book[side]}
            changes[side] |= {p: q for p, q in after.items() if before[side].get(p) != q}
        frames = [{"channel": "book", "type": "update", "data": [self._row(changes)]}]
        if self.rng.random() < 0.3:
            self.trade_id += 1
            trade = {"symbol": self.symbol, "side": self.rng.choice(["buy", "sell"]),
                     "price": Decimal(self.mid) / 10, "qty": self._quantity(), "ord_type": "limit",
                     "trade_id": self.trade_id, "timestamp": "2024-08-08T12:00:00.123456Z"}  # fmt: skip
            frames.insert(0, {"channel": "trade", "type": "update", "data": [trade]})
        return frames

    def asset_pairs(self) -> dict:
        pair = {"altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8,
                "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online"}  # fmt: skip
        return {"error": [], "result": {"XXBTZUSD": pair}}


def kraken_json(frame: object) -> str:
    """JSON with Decimal as plain numbers, as Kraken v2 sends them."""
    if isinstance(frame, dict):
        pairs = (f"{json.dumps(key)}:{kraken_json(value)}" for key, value in frame.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(frame, list):
        return "[" + ",".join(kraken_json(value) for value in frame) + "]"
    return f"{frame:f}" if isinstance(frame, Decimal) else json.dumps(frame)
