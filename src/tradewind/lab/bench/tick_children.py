"""The two other processes of the suite `tick-to-order`: a venue, and a feed that keeps its times.

python -m tradewind.lab.bench.tick_children venue FOLDER
python -m tradewind.lab.bench.tick_children feed PORT INTERVAL_NS < frames

Each ends when its standard input does, or its work is done.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

ACCOUNT: Final = "trader"
SYMBOL: Final = "BTC/USDT"
MIDDLE_TICKS: Final = 6_000_000
HEADER: Final = struct.Struct("<qqI")
"""Nanoseconds of the steady clock at which a frame was due, at which it was sent, and its bytes."""
LENGTH: Final = struct.Struct("<I")
LEAD_NS: Final = 200_000_000
"""Between the connection and the first frame."""
MANY: Final = 1_000_000
"""Limits of the venue are no part of what is measured."""


async def venue(folder: Path) -> None:
    """A Binance gateway in front of an exchange; prints where it is, and a key, as one line of JSON."""
    from tradewind.gateways.binance.gateway import BinanceGateway
    from tradewind.gateways.binance.streams import StreamOptions
    from tradewind.gateways.binance.windows import Limit
    from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
    from tradewind.gateways.keys import new_key
    from tradewind.gateways.model import PlaceRequest
    from tradewind.lab.bench.node import quiet_log
    from tradewind.node.limits import NodeLimits
    from tradewind.venues.market_data import Side

    funds = {"USDT": Decimal(10_000_000)}
    configuration = ExchangeConfiguration(
        accounts={ACCOUNT: funds, "maker": {**funds, "BTC": Decimal(100)}},
        limits=NodeLimits(space_reserved_bytes=0),
    )
    limits = (
        Limit(kind="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=MANY),
        Limit(kind="ORDERS", interval="SECOND", interval_num=10, limit=MANY),
    )
    with quiet_log():
        async with await Exchange.open(folder, configuration) as exchange:
            for side, price_ticks in ((Side.BUY, MIDDLE_TICKS - 60_000), (Side.SELL, MIDDLE_TICKS + 60_000)):
                wish = PlaceRequest(symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=1_000)
                await exchange.place("maker", wish)
            key = new_key(ACCOUNT)
            exchange.keys.add(key)
            async with BinanceGateway(
                exchange, limits=limits, options=StreamOptions(messages_per_s=10_000)
            ) as gateway:
                place = {"url": gateway.url, "socket_url": gateway.socket_url}
                print(json.dumps({**place, "key": key.key, "secret": key.secret.decode()}), flush=True)
                await asyncio.to_thread(sys.stdin.buffer.read)


def feed(port: int, interval_ns: int) -> None:
    """Sends the frames of standard input, each at its time, whether or not anybody keeps up."""
    raw, frames, at = sys.stdin.buffer.read(), [], 0
    while at < len(raw):
        (length,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size
        frames.append(raw[at : at + length])
        at += length
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin_ns = time.monotonic_ns() + LEAD_NS
        for number, frame in enumerate(frames):
            due_ns = begin_ns + number * interval_ns
            if (wait_ns := due_ns - time.monotonic_ns()) > 0:
                time.sleep(wait_ns / 1e9)
            wire.sendall(HEADER.pack(due_ns, time.monotonic_ns(), len(frame)) + frame)


def main(words: list[str]) -> Any:
    """Runs one of the two."""
    match words:
        case ["venue", folder]:
            import uvloop

            return uvloop.run(venue(Path(folder)))
        case ["feed", port, interval_ns]:
            return feed(int(port), int(interval_ns))
        case _:
            raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
