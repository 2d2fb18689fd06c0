"""Fixtures of the Kraken gateway tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kraken_world import World, served

from tradewind.gateways.exchange import Exchange


@pytest.fixture
async def world(exchange: Exchange) -> AsyncIterator[World]:
    """A gateway of a fresh exchange; public calls are not counted."""
    async with served(exchange) as one:
        yield one
