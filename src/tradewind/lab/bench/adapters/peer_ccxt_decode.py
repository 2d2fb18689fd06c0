"""`python peer_ccxt_decode.py kraken|binance FRAMES SECONDS`: the same frames through ccxt's own handlers.

Runs in the interpreter of the peer. The first frame is the snapshot. Prints one JSON document.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHUNK = 32


class Client:
    """What the handlers ask of a connection."""

    url = "wss://local/stream"

    def __init__(self) -> None:
        self.subscriptions: dict[str, Any] = {}

    def resolve(self, result: Any, message_hash: str) -> None:
        """Nobody waits."""

    def reject(self, error: Exception, message_hash: str) -> None:
        """A book that broke ends the measurement."""
        raise error


def prepare(venue: str, snapshot: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Exchange, its handler, and what tells the book."""
    exchange = getattr(importlib.import_module("ccxt.pro"), venue)()
    client = Client()
    if venue == "kraken":
        symbol = snapshot["data"][0]["symbol"]
        client.subscriptions[exchange.get_message_hash("orderbook", None, symbol)] = {"limit": 1_000}
        exchange.handle_order_book(client, snapshot)
    else:
        symbol = exchange.safe_market(snapshot["symbol"], None, None, "spot")["symbol"]
        sides = {name: [[float(a), float(b)] for a, b in snapshot[name]] for name in ("bids", "asks")}
        exchange.orderbooks[symbol] = exchange.order_book(
            {**sides, "nonce": snapshot["lastUpdateId"], "symbol": symbol}, 1_000
        )
    return client, exchange.handle_order_book, lambda: exchange.orderbooks[symbol]


def main(arguments: Sequence[str]) -> None:
    """Venue, file, seconds."""
    venue, path, limit_s = arguments
    first, *frames = Path(path).read_bytes().splitlines()
    client, handle, book = prepare(venue, json.loads(first))
    done = 0
    begin = time.process_time_ns()
    deadline = time.perf_counter_ns() + int(float(limit_s) * 1e9)
    while done < len(frames) and time.perf_counter_ns() < deadline:
        for frame in frames[done : done + CHUNK]:
            message = json.loads(frame)
            handle(client, message.get("data", message) if venue == "binance" else message)
        done += len(frames[done : done + CHUNK])
    elapsed_ns = time.process_time_ns() - begin
    top = book()
    tops = [str(top["bids"][0][0]), str(top["asks"][0][0])]
    print(json.dumps({"messages": done, "elapsed_ns": elapsed_ns, "top": tops}))


if __name__ == "__main__":
    main(sys.argv[1:])
