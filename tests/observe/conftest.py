"""A real platform on a temporary journal; its market is stepped by the test instead of by time."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from platform_server import Platform, assemble

MAX_STEPS = 20_000


async def trade(platform: Platform) -> None:
    """Step the generated market until the trader has fills and open orders."""
    for _, events in itertools.islice(platform.feed.batches(), MAX_STEPS):
        for event in events:
            await platform.session.on_event(event)
        if platform.session.trader.recent_fills and platform.views.orders.of_account(platform.trader_handle):
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"no fill and open order after {MAX_STEPS} steps")


@pytest_asyncio.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """Assembled, opened, and traded on."""
    running = await assemble(tmp_path)
    await running.session.open()
    await trade(running)
    yield running
    await running.node.close()
