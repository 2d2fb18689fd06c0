"""A catalogue on this machine that speaks the venue's wire: pages, prices, and every way to misbehave.

`GET /markets?limit=&offset=` answers as a Gamma-style catalogue does, `GET /price?token_id=&side=` and
`GET /book?token_id=` as its order book service. Markets are made from a seed; `move` changes prices.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from typing import Any, Final

import msgspec
from aiohttp import web

from tradewind.core.hashing import blake3
from tradewind.venues.catalogue.messages import CERTAIN

LOOPBACK: Final = "127.0.0.1"
MAX_MARKETS: Final = 65_536
MAX_PAGE: Final = 500
MAX_DELAY_S: Final = 600.0
WINDOW_S: Final = 10.0
PPM: Final = 1_000_000
TICK: Final = 1_000
"""Millionths of the payout."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request: a status other than 200, a body other than the page, a delay."""

    status: int = 200
    retry_after_s: int | None = None
    body: bytes | None = None
    delay_s: float = 0.0


class Behaviour(msgspec.Struct, kw_only=True):
    """How the venue is today. Faults of the script are used up first, one a request."""

    script: deque[Fault] = msgspec.field(default_factory=deque)
    delay_s: float = 0.0
    limit: int = 0
    """Requests in any ten seconds that are answered; further ones get 429. 0 = no limit."""
    retry_after_s: int = 10
    malformed_ppm: int = 0
    """Entries that no reader can use, by the number of the entry: the same ones every time."""
    duplicate_ppm: int = 0
    shuffled: bool = False
    """Entries of a page in another order at every request."""


class Market(msgspec.Struct):
    """One market of two outcomes; price of the first one in millionths, spread in millionths."""

    number: int
    price: int
    spread: int
    liquidity: int
    updated_ns: int


def condition_of(seed: int, number: int) -> bytes:
    """The id that the venue gives its market."""
    return blake3(f"catalogue condition {seed} {number}".encode())


def token_of(seed: int, number: int, outcome: int) -> str:
    """The id of an outcome, a decimal number as the venue writes it."""
    return str(int.from_bytes(blake3(f"catalogue token {seed} {number} {outcome}".encode()), "big"))


def decimal_of(millionths: int) -> float:
    """A price as the venue's JSON numbers show it."""
    return millionths / CERTAIN


class CatalogueServer:
    """`async with CatalogueServer(1_000) as server: server.url`"""

    def __init__(self, markets: int, *, seed: int = 1, behaviour: Behaviour | None = None) -> None:
        if not 1 <= markets <= MAX_MARKETS:
            raise ValueError(f"markets must be in 1..{MAX_MARKETS}")
        self.seed = seed
        self.behaviour = behaviour or Behaviour()
        self._random = random.Random(seed)  # noqa: S311 the same markets for the same seed
        self.markets = [self._new(number) for number in range(markets)]
        self.seen_s: list[float] = []
        """When each request arrived, monotonic seconds, refused ones too."""
        self._answered_s: deque[float] = deque()
        self._tokens: dict[str, tuple[int, int]] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    def _new(self, number: int) -> Market:
        price = self._random.randrange(10, 990) * TICK
        return Market(
            number=number,
            price=price,
            spread=self._random.choice((1, 2, 4, 10)) * TICK,
            liquidity=self._random.randrange(1_000, 1_000_000) * PPM,
            updated_ns=time.time_ns(),
        )

    def move(self, part_ppm: int = PPM) -> int:
        """Changes the prices of a part of the markets by a tick; how many changed."""
        moved = 0
        for market in self.markets:
            if self._random.randrange(PPM) < part_ppm:
                step = TICK if market.price < 500 * TICK else -TICK
                market.price += step
                market.updated_ns = time.time_ns()
                moved += 1
        return moved

    def entry(self, market: Market) -> dict[str, Any]:
        """A market in the venue's form."""
        prices = (market.price, CERTAIN - market.price)
        half = market.spread // 2
        seconds = time.gmtime(market.updated_ns // 10**9)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", seconds)
        return {
            "id": str(500_000 + market.number),
            "question": f"Question {market.number}?",
            "conditionId": "0x" + condition_of(self.seed, market.number).hex(),
            "slug": f"question-{market.number}",
            "endDate": "2030-01-01T00:00:00Z",
            "liquidity": str(market.liquidity // PPM),
            "liquidityNum": market.liquidity / PPM,
            "outcomes": json.dumps(["Yes", "No"]),
            "outcomePrices": json.dumps([str(decimal_of(price)) for price in prices]),
            "volume": "0",
            "active": True,
            "closed": False,
            "archived": False,
            "enableOrderBook": True,
            "acceptingOrders": True,
            "orderPriceMinTickSize": 0.001,
            "orderMinSize": 5,
            "clobTokenIds": json.dumps([token_of(self.seed, market.number, outcome) for outcome in (0, 1)]),
            "negRisk": False,
            "spread": decimal_of(market.spread),
            "bestBid": decimal_of(max(0, market.price - half)),
            "bestAsk": decimal_of(min(CERTAIN, market.price + market.spread - half)),
            "lastTradePrice": decimal_of(market.price),
            "updatedAt": stamp,
        }

    async def __aenter__(self) -> CatalogueServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, port: int = 0) -> str:
        """Serves on loopback and gives the address. Port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application()
        app.router.add_get("/markets", self._markets)
        app.router.add_get("/price", self._price)
        app.router.add_get("/book", self._book)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{LOOPBACK}:{bound}"
        return self.url

    async def close(self) -> None:
        """Ends the server; requests under way are cut off."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- answers -------------------------------------------------------------------------------------

    async def _fault(self) -> web.Response | None:
        """What the behaviour makes of this request; None = a good answer."""
        now_s = time.monotonic()
        self.seen_s.append(now_s)
        behaviour = self.behaviour
        fault = behaviour.script.popleft() if behaviour.script else Fault()
        delay_s = min(behaviour.delay_s + fault.delay_s, MAX_DELAY_S)
        if delay_s > 0.0:
            await asyncio.sleep(delay_s)
        if fault.status != 200 or fault.body is not None:
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return web.Response(status=fault.status, body=fault.body or b"{}", headers=headers)
        if not behaviour.limit:
            return None
        while self._answered_s and now_s - self._answered_s[0] >= WINDOW_S:
            self._answered_s.popleft()
        if len(self._answered_s) >= behaviour.limit:
            return web.json_response(
                {"error": "too many requests"},
                status=429,
                headers={"Retry-After": str(behaviour.retry_after_s)},
            )
        self._answered_s.append(now_s)
        return None

    async def _markets(self, request: web.Request) -> web.Response:
        fault = await self._fault()
        if fault is not None:
            return fault
        try:
            limit = int(request.query.get("limit", "100"))
            offset = int(request.query.get("offset", "0"))
        except ValueError:
            return web.json_response({"error": "limit and offset are whole numbers"}, status=422)
        if not 1 <= limit <= MAX_PAGE or offset < 0:
            return web.json_response({"error": f"limit is 1..{MAX_PAGE}"}, status=422)
        page = [self._shown(market) for market in self.markets[offset : offset + limit]]
        page += [entry for entry in page if self._falls("duplicate", entry, self.behaviour.duplicate_ppm)]
        if self.behaviour.shuffled:
            self._random.shuffle(page)
        return web.json_response(page)

    def _shown(self, market: Market) -> dict[str, Any]:
        entry = self.entry(market)
        if not self._falls("malformed", entry, self.behaviour.malformed_ppm):
            return entry
        # One kind of damage after the other.
        return [
            {**entry, "outcomePrices": "[not a list"},
            {**entry, "bestBid": entry["bestAsk"], "bestAsk": entry["bestBid"]},
            {**entry, "outcomePrices": json.dumps(["0.2", "0.2"])},
            {name: value for name, value in entry.items() if name != "conditionId"},
            {**entry, "bestAsk": 7.5},
        ][market.number % 5]

    def _falls(self, what: str, entry: dict[str, Any], part_ppm: int) -> bool:
        digest = blake3(f"{what} {entry.get('id')}".encode())
        return int.from_bytes(digest[:4], "little") % PPM < part_ppm

    def _token(self, request: web.Request) -> tuple[Market, int] | None:
        if not self._tokens:
            self._tokens = {
                token_of(self.seed, market.number, outcome): (market.number, outcome)
                for market in self.markets
                for outcome in (0, 1)
            }
        found = self._tokens.get(request.query.get("token_id", ""))
        return None if found is None else (self.markets[found[0]], found[1])

    @staticmethod
    def _sides(market: Market, outcome: int) -> tuple[int, int]:
        price = market.price if outcome == 0 else CERTAIN - market.price
        half = market.spread // 2
        return max(0, price - half), min(CERTAIN, price + market.spread - half)

    async def _price(self, request: web.Request) -> web.Response:
        fault = await self._fault()
        if fault is not None:
            return fault
        found = self._token(request)
        side = request.query.get("side", "").upper()
        if found is None or side not in ("BUY", "SELL"):
            return web.json_response({"error": "Invalid token id or side"}, status=400)
        bid, ask = self._sides(*found)
        return web.json_response({"price": str(decimal_of(bid if side == "BUY" else ask))})

    async def _book(self, request: web.Request) -> web.Response:
        fault = await self._fault()
        if fault is not None:
            return fault
        found = self._token(request)
        if found is None:
            return web.json_response({"error": "No orderbook exists for the requested token id"}, status=404)
        market, outcome = found
        bid, ask = self._sides(market, outcome)
        return web.json_response(
            {
                "market": "0x" + condition_of(self.seed, market.number).hex(),
                "asset_id": token_of(self.seed, market.number, outcome),
                "bids": [{"price": str(decimal_of(bid)), "size": "100"}],
                "asks": [{"price": str(decimal_of(ask)), "size": "100"}],
                "timestamp": str(market.updated_ns // 10**6),
            }
        )
