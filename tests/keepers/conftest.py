"""Fixtures of the workers' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .keeper_world import KeeperWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[KeeperWorld]:
    """A node with an active leveraged market."""
    one = await KeeperWorld.open(tmp_path)
    try:
        await one.open_exchange()
        yield one
    finally:
        await one.node.close()
