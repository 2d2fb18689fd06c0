"""Fixtures of the Binance gateway's tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from binance_world import World, world


@pytest.fixture
async def binance(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with an empty book."""
    async with world(tmp_path / "data") as one:
        yield one
