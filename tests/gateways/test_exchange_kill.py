"""kill -9 in the middle of trading: what was acknowledged is there, nothing is there twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gateway_world import opened

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import Order
from tradewind.venues.protocol import OrderPhase

CHILD = Path(__file__).parent / "exchange_child.py"
KILLS = 4
CLIENTS = 8
DEADLINE_S = 60


def trade_and_kill(folder: Path, first: int, lines: int) -> list[list[str]]:
    """What the child said before it was killed behind so many lines."""
    command = [sys.executable, str(CHILD), str(folder), str(first)]
    said: list[list[str]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.split())
            if len(said) == lines:
                child.kill()
        assert child.stderr is not None
        told = child.stderr.read()
    assert len(said) >= lines, told
    # The last line may have been cut.
    return said[:-1]


async def everything(exchange: Exchange) -> list[Order]:
    return exchange.orders("demo", working=True, limit=10_000) + exchange.orders(
        "demo", working=False, limit=10_000
    )


async def check(folder: Path, acknowledged: dict[str, tuple[str, int]]) -> None:
    async with opened(folder) as exchange:
        orders = await everything(exchange)
        assert not [name for name, count in Counter(one.client_id for one in orders).items() if count > 1]
        by_name = {one.client_id: one for one in orders}
        for name, (what, number) in acknowledged.items():
            found = by_name.pop(name)
            assert found.order_id == number and found.tag == int(name.partition("-")[2])
            if what == "cancelled":
                assert found.phase is OrderPhase.CANCELLED
        # What nobody was told about was under way at a kill: at most one order of each client each time.
        assert len(by_name) <= CLIENTS * KILLS
        exchange.views.ledger.check()


def test_what_was_acknowledged_survives_a_kill_and_nothing_is_there_twice(tmp_path: Path) -> None:
    acknowledged: dict[str, tuple[str, int]] = {}
    for run in range(KILLS):
        for what, *rest in trade_and_kill(tmp_path / "data", run * 100_000, 150 + 37 * run):
            if rest:
                acknowledged[rest[0]] = (what, int(rest[1]))
        asyncio.run(check(tmp_path / "data", acknowledged))
