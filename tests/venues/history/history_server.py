"""A small venue of the past: Binance's archive and REST, Kraken's Trades and OHLC, with scripted faults."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

DAY_MS = 86_400_000
RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
]


class Unlimited:
    """A budget that grants everything and counts."""

    def __init__(self) -> None:
        self.admitted: list[int] = []

    async def admit(self, weight: int) -> None:
        self.admitted.append(weight)

    def done(self) -> None:
        pass

    def answered(self, status: int, headers: Any, text: str, sent_ns: int) -> float | None:
        return float(headers.get("Retry-After", 0)) if status in (418, 429) else None


def day_of(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d}"


class PastVenue:
    """`trades`: (ms, price text, quantity text, buyer was maker), oldest first; ids count from 1.

    `faults[path start]` is a list of what happens to the next requests: a status, `cut` (connection closed in
    the middle), `wrong` (bytes changed), `short` (a zip without its end), `hang`.
    """

    def __init__(self, trades: list[tuple[int, str, str, bool]]) -> None:
        self.trades = trades
        self.faults: dict[str, list[int | str]] = {}
        self.without: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.page = 1_000
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> PastVenue:
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", self._answer)])
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked[path] += 1
        fault = next(
            (plan.pop(0) for start, plan in self.faults.items() if path.startswith(start) and plan), None
        )
        if isinstance(fault, int) and fault:
            return web.Response(
                status=fault, headers={"Retry-After": "0"} if fault == 429 else {}, text="fault"
            )
        body = self._body(path, dict(request.query))
        if body is None:
            return web.Response(status=404, text="NoSuchKey")
        if fault == "wrong":
            body = body[:-30] + b"\0" + body[-29:]
        if fault == "short":
            body = body[: len(body) // 2]
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            request.transport.abort()
            return response
        return web.Response(body=body)

    def _body(self, path: str, query: dict[str, str]) -> bytes | None:
        if path.startswith("/data/spot/"):
            return self._archive(path)
        name = path.rpartition("/")[2]
        found: Any = getattr(self, f"_{name}")(query)
        return json.dumps(found).encode()

    # ---- archive -----------------------------------------------------------------------------------------

    def _archive(self, path: str) -> bytes | None:
        name = path.rpartition("/")[2]
        if name.endswith(".CHECKSUM"):
            packed = self._archive(path.removesuffix(".CHECKSUM"))
            return (
                packed
                and f"{hashlib.sha256(packed).hexdigest()}  {name.removesuffix('.CHECKSUM')}\n".encode()
            )
        stem = name.removesuffix(".zip")
        kind, period = stem.split("-", 2)[1:]
        if period in self.without:
            return None
        rows = [row for row in enumerate(self.trades, 1) if day_of(row[1][0]).startswith(period)]
        lines = "".join(self._line(kind, number, *trade) for number, trade in rows)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed_file:
            packed_file.writestr(zipfile.ZipInfo(f"{stem}.csv", (2024, 1, 1, 0, 0, 0)), lines)
        return target.getvalue()

    def _line(self, kind: str, number: int, time_ms: int, price: str, quantity: str, maker: bool) -> str:
        if kind == "aggTrades":
            return f"{number},{price},{quantity},{number},{number},{time_ms},{maker},True\n"
        return (
            f"{number},{price},{quantity},1.0,{time_ms * 1000},{maker},True\n"  # microseconds, as from 2025
        )

    # ---- Binance REST ------------------------------------------------------------------------------------

    def _exchangeInfo(self, query: dict[str, str]) -> Any:
        return {"rateLimits": RATE_LIMITS, "symbols": []}

    def _aggTrades(self, query: dict[str, str]) -> Any:
        rows = list(enumerate(self.trades, 1))
        if "fromId" in query:
            rows = [row for row in rows if row[0] >= int(query["fromId"])]
        else:
            rows = [row for row in rows if int(query["startTime"]) <= row[1][0] <= int(query["endTime"])]
        return [
            {
                "a": number,
                "p": price,
                "q": quantity,
                "f": number,
                "l": number,
                "T": time_ms,
                "m": maker,
                "M": True,
            }
            for number, (time_ms, price, quantity, maker) in rows[: min(self.page, int(query["limit"]))]
        ]

    def _klines(self, query: dict[str, str]) -> Any:
        step = {"1m": 60_000, "1h": 3_600_000}[query["interval"]]
        first = -(-int(query["startTime"]) // step) * step
        times = range(first, int(query["endTime"]) + 1, step)[: int(query["limit"])]
        return [
            [at, "1.0", "2.0", "0.5", "1.5", "10.0", at + step - 1, "15.0", 3, "5", "7", "0"] for at in times
        ]

    # ---- Kraken REST -------------------------------------------------------------------------------------

    def _AssetPairs(self, query: dict[str, str]) -> Any:
        pair = {"altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8}
        return {"error": [], "result": {"XXBTZUSD": pair}}

    def _Trades(self, query: dict[str, str]) -> Any:
        since = int(query["since"])
        rows = [row for row in enumerate(self.trades, 1) if row[1][0] * 10**6 > since]
        page = rows[: self.page]
        while len(page) < len(rows) and rows[len(page)][1][0] == page[-1][1][0]:
            page.append(rows[len(page)])
        cells = [
            [price, quantity, time_ms / 1000, "s" if maker else "b", "l", "", number]
            for number, (time_ms, price, quantity, maker) in page
        ]
        last = str(page[-1][1][0] * 10**6) if page else query["since"]
        return {"error": [], "result": {"XXBTZUSD": cells, "last": last}}

    def _OHLC(self, query: dict[str, str]) -> Any:
        step = int(query["interval"]) * 60
        end = self.trades[-1][0] // 1000 // step * step
        rows = [
            [end - step * back, "1.0", "2.0", "0.5", "1.5", "1.2", "10.0", 3] for back in range(720, -1, -1)
        ]
        return {"error": [], "result": {"XXBTZUSD": rows, "last": end - step}}
