"""A process that trades until it is killed, and says what was acknowledged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gateway_world import PRICE, configuration, request

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import Order
from tradewind.observe.logs import write_to_stderr
from tradewind.venues.market_data import Side

CLIENTS = 8


async def client(exchange: Exchange, number: int, first: int) -> None:
    """Places and cancels; prints behind each answer, unbuffered."""
    count = first
    while True:
        name = f"{number}-{count}"
        side = Side(count % 2)
        price = PRICE + (1 if side is Side.SELL else -1) * (number + 1)
        order = await exchange.place("demo", request(side, price, 10, client_id=name, tag=count))
        assert isinstance(order, Order), order
        print("placed", name, order.order_id, flush=True)
        await exchange.cancel("demo", order.order_id)
        print("cancelled", name, order.order_id, flush=True)
        count += 1


async def main(folder: Path, first: int) -> None:
    exchange = await Exchange.open(folder, configuration())
    print("open", flush=True)
    await asyncio.gather(*(client(exchange, number, first) for number in range(CLIENTS)))


write_to_stderr()
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
