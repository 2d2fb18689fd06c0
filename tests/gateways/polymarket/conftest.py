"""Fixtures of the Polymarket gateway tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from polymarket_world import World, served

from tradewind.venues.polymarket import wallet


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway of a fresh exchange with two accounts."""
    if not wallet.available():
        pytest.skip(f"the packages of {wallet.EXTRA} are not installed")
    async with served(tmp_path / "data") as one:
        yield one
