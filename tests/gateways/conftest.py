"""Fixtures of the gateway tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gateway_world import opened

from tradewind.gateways.exchange import Exchange


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    """A fresh exchange with a still book."""
    async with opened(tmp_path / "data") as one:
        yield one
